// A node before any pod: its interfaces on the underlay, default route, and the kernel settings kubelet, kube-proxy
// and the distribution make. What stands in annotations wins.

internal import Addressing
public import Kubernetes
public import Netstack

/// A node's interface as annotations or its InternalIP describe it.
public enum NodeNetwork {
    static let prefix = "podnet.dev/"

    /// The node's interfaces: from `podnet.dev/interfaces`, else eth0 with the InternalIP in the underlay's subnet.
    public static func interfaces(of node: Node, underlay: Underlay) -> [NodeInterface] {
        if let text = node.metadata.annotations[Node.interfacesAnnotation] {
            return interfaces(text)
        }
        let addresses = node.internalIPs.map { address in
            let subnet = underlay.subnet.flatMap { $0.contains(address) ? $0.length : nil }
            return InterfaceAddress(address, prefixLength: subnet ?? (address.family == .ipv4 ? 24 : 64))
        }
        return [NodeInterface(name: "eth0", addresses: addresses)]
    }

    /// Reads `eth0=192.168.77.11/24,eth1=172.31.5.4/20`; an address without a name belongs to the one before.
    static func interfaces(_ text: String) -> [NodeInterface] {
        var interfaces: [NodeInterface] = []
        var current = 0
        for part in text.split(separator: ",") {
            let entry = part.drop { $0 == " " }
            var address = entry
            if let equals = entry.firstIndex(of: "=") {
                let name = String(entry[..<equals])
                address = entry[entry.index(after: equals)...]
                current = interfaces.firstIndex { $0.name == name } ?? interfaces.endIndex
                if current == interfaces.endIndex { interfaces.append(NodeInterface(name: name, addresses: [])) }
            }
            if let parsed = InterfaceAddress(address), current < interfaces.endIndex {
                interfaces[current].addresses.append(parsed)
            }
        }
        return interfaces
    }

    /// Applies what the node's agents and annotations set.
    public static func applySettings(
        _ node: Node, proxy: KubeProxyConfiguration, to namespace: inout NetworkNamespace
    ) {
        namespace.sysctls.ipForward = true
        namespace.sysctls.ipv6Forward = true
        namespace.sysctls.bridgeCallsIPTables = true
        namespace.sysctls.bridgeCallsIP6Tables = true
        namespace.sysctls.routeLocalnet = proxy.mode == .iptables && proxy.iptables.localhostNodePorts
        if proxy.mode == .ipvs {
            namespace.sysctls.virtualServersUseTracking = true
            namespace.sysctls.virtualServersExpireWithoutServer = true
            namespace.sysctls.virtualServersExpireQuietTemplates = true
            namespace.sysctls.arpIgnore = proxy.ipvs.strictARP ? 1 : 0
            namespace.sysctls.arpAnnounce = proxy.ipvs.strictARP ? 2 : 0
        }
        namespace.sysctls.connectionTrackingIsLiberal = proxy.conntrack.tcpBeLiberal
        if let cores = node.status.capacity?.cpu?.value, proxy.conntrack.maxPerCore > 0 {
            // What conntrack.go of kube-proxy takes for enough; without a capacity nothing tells how many cores.
            let (wanted, overflow) = proxy.conntrack.maxPerCore.multipliedReportingOverflow(by: max(cores, 1))
            namespace.sysctls.connectionTrackingMax =
                overflow ? 1_048_576 : min(max(wanted, proxy.conntrack.min), 1_048_576)
        }
        // Zero leaves these two as they are.
        let (udp, udpStream) = (proxy.conntrack.udpTimeout, proxy.conntrack.udpStreamTimeout)
        if udp > 0 { namespace.sysctls.connectionTimeouts.udp = Int(udp / 1_000_000_000) }
        if udpStream > 0 { namespace.sysctls.connectionTimeouts.udpStream = Int(udpStream / 1_000_000_000) }
        namespace.sysctls.connectionTimeouts.tcpEstablished = Int(proxy.conntrack.tcpEstablishedTimeout / 1_000_000_000)
        namespace.sysctls.connectionTimeouts.tcpCloseWait = Int(proxy.conntrack.tcpCloseWaitTimeout / 1_000_000_000)
        kernel(of: node.metadata)?.apply(to: &namespace.sysctls)
        // Those of single interfaces last: what they say is not overwritten by what all interfaces are told.
        let settings = settings(of: node)
        for isOfInterface in [false, true] {
            for (name, value) in settings where (Sysctls.interfaceSetting(name) != nil) == isOfInterface {
                // Names and values were checked when the manifest was read.
                _ = namespace.setSysctl(name, to: value)
            }
        }
    }

    /// The kernel settings the annotations of a node ask for, by name.
    private static func settings(of node: Node) -> [(name: String, value: String)] {
        let prefix = prefix + "sysctl."
        return node.metadata.annotations.filter { $0.key.hasPrefix(prefix) }.sorted { $0.key < $1.key }
            .map { (String($0.key.dropFirst(prefix.count)), $0.value) }
    }

    /// The kernel a node or host runs, when its annotation `podnet.dev/kernel` names one.
    public static func kernel(of metadata: ObjectMeta) -> KernelProfile? {
        metadata.annotations[prefix + "kernel"].flatMap { KernelProfile($0) }
    }

    /// A pod runs on its node's kernel, and begins with the TCP memory set there.
    public static func applyKernel(of node: Node, toPod namespace: inout NetworkNamespace) {
        kernel(of: node.metadata)?.apply(to: &namespace.sysctls)
        let name = "net.ipv4.tcp_rmem"
        if let value = node.metadata.annotations[prefix + "sysctl." + name] {
            _ = namespace.sysctls.set(name, to: value)
        }
    }

    /// Checks the kernels that nodes and hosts name.
    public static func checkKernels(_ objects: some Sequence<some KubernetesObject>) throws(ObjectError) {
        for object in objects {
            guard let value = object.metadata.annotations[prefix + "kernel"], KernelProfile(value) == nil else {
                continue
            }
            throw ObjectError(
                object, FieldPath("metadata", "annotations").key(prefix + "kernel"),
                "\"\(value)\" is no kernel version podnet knows",
                hint: "write \(KernelProfile.oldest) or a later one, as `uname -r` prints it")
        }
    }

    /// Checks what annotations set: a name podnet does not model, or of an interface no node has, is a warning, a value
    /// the kernel would refuse is an error. `devices` are those the agents make.
    public static func checkSettings(
        _ nodes: some Sequence<Node>, devices: [String] = [], underlay: Underlay = Underlay()
    ) throws(ObjectError) -> [ObjectWarning] {
        var warnings: [ObjectWarning] = []
        for node in nodes {
            let own = ["default", "lo"] + interfaces(of: node, underlay: underlay).map(\.name) + devices
            for (name, value) in settings(of: node) {
                let field = FieldPath("metadata", "annotations").key(prefix + "sysctl." + name)
                switch Sysctls.check(name, value: value) {
                case true?:
                    guard let (interface, _) = Sysctls.interfaceSetting(name), !own.contains(interface),
                        !interface.hasPrefix("veth")
                    else { continue }
                    warnings.append(
                        ObjectWarning(
                            node, field, "the node has no interface \(interface), so this changes nothing",
                            hint: "it has \(own.dropFirst().joined(separator: ", "))"))
                case false?:
                    warnings.append(
                        ObjectWarning(
                            node, field, "podnet does not model \(name), so it changes nothing",
                            hint: "modelled are \(Sysctls.names.joined(separator: ", ")); and of single interfaces "
                                + InterfaceSettings.names.joined(separator: ", ")))
                case nil:
                    throw ObjectError(
                        node, field, "\"\(value)\" is no value \(name) can have",
                        hint: "write a number as `sysctl -w` takes it, in quotes")
                }
            }
        }
        return warnings
    }

    /// Ports that answer on an object with the annotation `podnet.dev/listen`.
    public static func listeners(_ metadata: ObjectMeta) -> [Listener] {
        (metadata.annotations[prefix + "listen"] ?? "").split(separator: ",").compactMap { part in
            Listener(part.drop { $0 == " " })
        }
    }

    /// Every port a pod answers on: its declared container ports, sidecars included, and the annotation's.
    public static func listeners(_ pod: Pod) -> [Listener] {
        var found: [Listener] = []
        let sidecars = pod.spec.initContainers.filter(\.isSidecar)
        for port in (pod.spec.containers + sidecars).flatMap(\.ports) {
            guard let `protocol` = port.protocol.ipProtocol, let number = UInt16(exactly: port.containerPort) else {
                continue
            }
            let listener = Listener(protocol: `protocol`, port: number)
            if !found.contains(listener) { found.append(listener) }
        }
        for listener in listeners(pod.metadata) where !found.contains(listener) { found.append(listener) }
        return found
    }
}
