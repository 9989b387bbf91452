// Settings every interface has of its own, net.ipv4.conf.NAME.*, and how they go together with those of conf.all:
// for some the larger counts, for others either is enough. Mirrors include/linux/inetdevice.h (IN_DEV_MAXCONF,
// IN_DEV_ORCONF). `conf.default` is what interfaces begin with; agents' interfaces are made after it was set.

/// What one interface has been told.
public struct InterfaceSettings: Sendable, Hashable {
    /// rp_filter
    public var reversePathFilter = 0
    /// route_localnet
    public var routeLocalnet = false
    /// accept_local
    public var acceptLocal = false
    /// send_redirects
    public var sendRedirects = true
    /// arp_ignore
    public var arpIgnore = 0
    /// arp_announce
    public var arpAnnounce = 0
    /// forwarding; nil as `net.ipv4.ip_forward` has it.
    public var forwarding: Bool?

    public init() {}

    /// The names `set` knows.
    public static let names = [
        "accept_local", "arp_announce", "arp_ignore", "forwarding", "route_localnet", "rp_filter", "send_redirects",
    ]

    /// Each with its value, in the order of `names`; nil as the whole host has it.
    package var listing: [(name: String, value: Int?)] {
        [
            ("accept_local", acceptLocal ? 1 : 0), ("arp_announce", arpAnnounce), ("arp_ignore", arpIgnore),
            ("forwarding", forwarding.map { $0 ? 1 : 0 }), ("route_localnet", routeLocalnet ? 1 : 0),
            ("rp_filter", reversePathFilter), ("send_redirects", sendRedirects ? 1 : 0),
        ]
    }

    /// Sets one by its name; false when podnet does not model it, nil when the value is not a number in its range.
    mutating func set(_ name: String, to text: String) -> Bool? {
        guard InterfaceSettings.names.contains(name) else { return false }
        guard let number = Int(text), (0...2).contains(number) else { return nil }
        switch name {
        case "rp_filter": reversePathFilter = number
        case "arp_ignore": arpIgnore = number
        case "arp_announce": arpAnnounce = number
        default:
            guard number < 2 else { return nil }
            switch name {
            case "accept_local": acceptLocal = number == 1
            case "forwarding": forwarding = number == 1
            case "route_localnet": routeLocalnet = number == 1
            default: sendRedirects = number == 1
            }
        }
        return true
    }
}

extension NetworkNamespace {
    func reversePathFilter(on link: LinkID) -> Int {
        max(sysctls.reversePathFilter, links[link.index].settings.reversePathFilter)
    }

    func routesLocalnet(on link: LinkID) -> Bool {
        sysctls.routeLocalnet || links[link.index].settings.routeLocalnet
    }

    func acceptsLocal(on link: LinkID) -> Bool { sysctls.acceptLocal || links[link.index].settings.acceptLocal }

    func sendsRedirects(on link: LinkID) -> Bool { sysctls.sendRedirects || links[link.index].settings.sendRedirects }

    func arpIgnore(on link: LinkID) -> Int { max(sysctls.arpIgnore, links[link.index].settings.arpIgnore) }

    func arpAnnounce(on link: LinkID) -> Int { max(sysctls.arpAnnounce, links[link.index].settings.arpAnnounce) }

    func forwards(from link: LinkID) -> Bool { links[link.index].settings.forwarding ?? sysctls.ipForward }

    /// Sets a kernel setting by its name, those of one interface and of `default` included; false when podnet does not
    /// model it or there is no such interface, nil when the value is not a number in its range.
    public mutating func setSysctl(_ name: String, to text: String) -> Bool? {
        guard let (interface, setting) = Sysctls.interfaceSetting(name) else { return sysctls.set(name, to: text) }
        var known = InterfaceSettings()
        let answer = known.set(setting, to: text)
        guard answer == true else { return answer }
        // Interfaces of the machine itself were there, and had addresses, before anybody set defaults.
        let chosen = links.indices.filter { index in
            interface == "default"
                ? !links[index].isLoopback && links[index].kind != .ethernet : links[index].name == interface
        }
        for index in chosen { _ = links[index].settings.set(setting, to: text) }
        return interface == "default" || !chosen.isEmpty
    }
}

extension Sysctls {
    /// What `conf.all` says of the settings an interface has of its own.
    package var ofAllInterfaces: InterfaceSettings {
        var settings = InterfaceSettings()
        settings.acceptLocal = acceptLocal
        settings.arpAnnounce = arpAnnounce
        settings.arpIgnore = arpIgnore
        settings.routeLocalnet = routeLocalnet
        settings.reversePathFilter = reversePathFilter
        settings.sendRedirects = sendRedirects
        return settings
    }

    private static let interfacePrefix = "net.ipv4.conf."

    /// The interface a name speaks of, and the setting; nil for names of `conf.all` and all others.
    public static func interfaceSetting(_ name: String) -> (interface: String, setting: String)? {
        guard name.hasPrefix(interfacePrefix) else { return nil }
        let rest = name.dropFirst(interfacePrefix.count)
        guard let dot = rest.lastIndex(of: "."), dot > rest.startIndex else { return nil }
        let interface = String(rest[..<dot])
        return interface == "all" ? nil : (interface, String(rest[rest.index(after: dot)...]))
    }

    /// Whether a setting by that name may have the value; false when podnet does not model it.
    public static func check(_ name: String, value: String) -> Bool? {
        guard let (_, setting) = interfaceSetting(name) else {
            var kernel = Sysctls()
            return kernel.set(name, to: value)
        }
        var settings = InterfaceSettings()
        return settings.set(setting, to: value)
    }
}
