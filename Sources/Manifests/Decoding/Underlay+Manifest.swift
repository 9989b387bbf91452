// What Kubernetes has no object for (podnet.dev/v1alpha1): machines outside the cluster and the wire between all.
// These are podnet's own, so they are read strictly: a block of addresses has no host bits.

import Addressing
import Kubernetes

extension Host {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        self.init(metadata: metadata)
        guard let spec = try node.section("spec") else { return }
        try self.init(
            metadata: metadata,
            addresses: spec.list("addresses").map { (item) throws(ManifestError) in try item.interfaceAddress() },
            routes: spec.list("routes").map(HostRoute.init(manifest:)),
            forwarding: spec.boolean("forwarding") ?? false,
            listen: spec.list("listen").map { (item) throws(ManifestError) in try item.listener(item.string()) })
    }
}

extension HostRoute {
    init(manifest node: ManifestNode) throws(ManifestError) {
        let to = try node.required("to")
        let via = try node.required("via").address()
        if try to.string() == "default" {
            self.init(to: IPPrefix(.any(via.family), length: 0), via: via)
        } else {
            self.init(to: try to.strictPrefix(), via: via)
        }
        guard self.to.family == via.family else {
            throw node.error("`to` and `via` are of different families", hint: "route IPv4 via IPv4, IPv6 via IPv6")
        }
    }
}

extension Underlay {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        self.init(metadata: metadata)
        guard let spec = try node.section("spec") else { return }
        subnet = try spec.field("subnet")?.strictPrefix()
        gateway = try spec.field("gateway")?.address()
        if let subnet, let gateway, let value = spec["gateway"], !subnet.contains(gateway) {
            throw value.error("\(gateway) is not in the subnet \(subnet)", hint: "name an address of the subnet")
        }
        // The least IPv4 allows, and what fits the length field.
        mtu = try spec.integer("mtu", in: 68...65535) ?? mtu
        if let delay = try spec.field("delay") {
            guard delay.isScalar, let value = nanoseconds(duration: delay.text), value >= 0 else {
                throw delay.error(
                    "expected a duration, found \(delay.typeDescription)", hint: "write it as 10us, 1.5ms, 1s or 0")
            }
            delayNanoseconds = value
        }
        if let loss = try spec.field("loss") {
            guard loss.isScalar, let value = perMillion(share: loss.text) else {
                throw loss.error(
                    "expected a share of lost packets, found \(loss.typeDescription)",
                    hint: "write it as 0%, 0.1% or 100%")
            }
            lossPerMillion = value
        }
    }
}

extension ManifestNode {
    func interfaceAddress() throws(ManifestError) -> InterfaceAddress {
        try value("an address with its prefix length", example: "192.168.50.100/24") { InterfaceAddress($0) }
    }

    /// A block of addresses without host bits.
    func strictPrefix() throws(ManifestError) -> IPPrefix {
        let text = try string()
        if let prefix = IPPrefix(text) { return prefix }
        if let prefix = InterfaceAddress(text)?.prefix {
            throw error("\(quoted(text)) has bits set behind the prefix length", hint: "write it as \(prefix)")
        }
        throw error("\(quoted(text)) is not a CIDR", hint: "write it as 10.96.0.0/12")
    }

    /// A port something answers on.
    func listener(_ text: String) throws(ManifestError) -> Listener {
        guard let listener = Listener(text) else {
            throw error("\(quoted(text)) is not a port to listen on", hint: "write it as tcp/8080, udp/7 or sctp/9")
        }
        return listener
    }
}
