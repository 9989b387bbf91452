// The podnet.dev/ annotations on nodes and pods. They stay text in the metadata, and the simulator reads them there;
// here their form is checked, because here the line is known.

import Addressing
import Kubernetes

/// The kinds of object that carry podnet.dev/ annotations.
enum AnnotatedKind {
    case node, pod
}

/// Checks the podnet.dev/ annotations in `metadata`; the ones podnet does not know become warnings.
func checkAnnotations(
    in metadata: ManifestNode?, of kind: AnnotatedKind, warnings: inout [ManifestWarning]
) throws(ManifestError) {
    guard let annotations = metadata?["annotations"] else { return }
    for (name, value) in annotations.members {
        let key = name.text
        let prefix = "podnet.dev/"
        guard key.hasPrefix(prefix) else { continue }
        let setting = String(key.dropFirst(prefix.count))
        switch (setting, kind) {
        case ("listen", _):
            for part in value.text.split(separator: ",") { _ = try value.listener(String(part.drop { $0 == " " })) }
        case ("interfaces", .node):
            try checkInterfaces(value)
        case ("rules", .node):
            // Whoever reads the dumps says what is wrong in them.
            guard value.text.contains(where: { $0 != "," && $0 != " " }) else {
                throw value.error("names no dump", hint: "write the path of what iptables-save printed, or its text")
            }
        case ("nfacct", .node):
            guard value.text == "true" || value.text == "false" else {
                throw value.error("\(quoted(value.text)) is neither \"true\" nor \"false\"")
            }
        case (_, .node) where setting.hasPrefix("sysctl."):
            try checkSysctl(String(setting.dropFirst("sysctl.".count)), name: name, value: value)
        default:
            let known = kind == .node ? "listen, interfaces, rules, nfacct and sysctl.NAME" : "listen"
            let place = name.position
            warnings.append(
                ManifestWarning(
                    file: name.tree.source.name, line: place.line, column: place.column,
                    message: "the annotation \(key) means nothing to podnet on a \(kind == .node ? "Node" : "Pod")",
                    hint: "known here: \(known), after podnet.dev/"))
        }
    }
}

/// `eth0=192.168.77.11/24,eth1=172.31.5.4/20`; an address without a name belongs to the interface before it.
private func checkInterfaces(_ value: ManifestNode) throws(ManifestError) {
    var hasInterface = false
    for part in value.text.split(separator: ",") {
        let entry = part.drop { $0 == " " }
        var address = entry
        if let equals = entry.firstIndex(of: "=") {
            let name = entry[..<equals]
            // IFNAMSIZ counts the zero octet at the end.
            guard (1...15).contains(name.utf8.count), !name.contains(where: { $0 == "/" || $0 == " " || $0 == ":" })
            else {
                throw value.error("\(quoted(name)) is not an interface name", hint: "up to 15 characters, such as eth0")
            }
            hasInterface = true
            address = entry[entry.index(after: equals)...]
        }
        guard hasInterface, InterfaceAddress(address) != nil else {
            throw value.error(
                "\(quoted(entry)) is not an interface with its address", hint: "write it as eth0=192.168.77.11/24")
        }
    }
    guard hasInterface else {
        throw value.error("no interface is named", hint: "write it as eth0=192.168.77.11/24,eth1=172.31.5.4/20")
    }
}

/// A dotted name and one or more integers, as sysctl(8) takes them.
private func checkSysctl(_ sysctl: String, name: ManifestNode, value: ManifestNode) throws(ManifestError) {
    let isName =
        sysctl.contains(".")
        && sysctl.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { !$0.isEmpty }
    guard isName else {
        throw name.error(
            "\(quoted(sysctl)) is not the name of a sysctl",
            hint: "write it with dots, such as podnet.dev/sysctl.net.ipv4.ip_forward")
    }
    let words = value.text.split { $0 == " " || $0 == "\t" }
    guard !words.isEmpty, words.allSatisfy({ Int($0) != nil }) else {
        throw value.error("\(quoted(value.text)) is not a value for a sysctl", hint: "write a number in quotes: \"1\"")
    }
}
