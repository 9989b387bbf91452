// The fields of a packet that rules compare, read once per hook and table, of either family. Mirrors what
// struct xt_action_param and the table walk of ip_tables.c and ip6_tables.c hand to matches.

internal import Addressing
internal import Wire

/// The fields rules compare, read once per hook.
struct RuleFields {
    var source: IPAddress
    var destination: IPAddress
    /// Of IPv6 the first protocol that is no extension header.
    var `protocol`: IPProtocol
    /// False for later fragments and protocols without ports.
    var hasPorts: Bool
    var sourcePort: UInt16 = 0
    var destinationPort: UInt16 = 0
    /// Where in the frame the transport header begins.
    var transport: Int
    /// A fragment behind the first, which has no transport header.
    var isLaterFragment: Bool
    /// The transport header is not all there, or the fragment begins within one.
    var isCut = false
    /// A match found a header it cannot read: the packet is dropped (`hotdrop` of struct xt_action_param).
    var mustDrop = false

    var family: AddressFamily { source.family }

    init(_ packet: Packet, in arena: borrowing PacketArena) {
        source = arena.source(packet)
        destination = arena.destination(packet)
        guard let header = NetworkHeader(packet, in: arena) else {
            (`protocol`, transport, isLaterFragment, hasPorts) = (.noNextHeader, packet.length, false, false)
            return
        }
        `protocol` = header.protocol
        transport = header.transport
        isLaterFragment = header.isLaterFragment
        if isLaterFragment {
            isCut = `protocol` == .tcp && header.fragmentOffset == 1
        } else {
            let needed = `protocol` == .tcp ? TCPHeader.length : `protocol` == .sctp ? SCTPHeader.length : 8
            isCut = packet.length < transport + needed
        }
        hasPorts = `protocol`.hasPorts && !isLaterFragment && packet.length >= transport + 4
        if hasPorts {
            sourcePort = arena.load16(packet, transport)
            destinationPort = arena.load16(packet, transport + 2)
        }
    }
}

/// The links of a hook, with their names as rules compare them.
struct RuleLinks {
    let ingress: LinkID?
    let egress: LinkID?
    let ingressName: PackedName
    let egressName: PackedName

    init(ingress: LinkID?, egress: LinkID?, _ links: [Link]) {
        self.ingress = ingress
        self.egress = egress
        ingressName = ingress.map { links[$0.index].packedName } ?? PackedName("")
        egressName = egress.map { links[$0.index].packedName } ?? PackedName("")
    }
}
