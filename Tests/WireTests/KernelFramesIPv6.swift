// The IPv6 frames of the same recording: two namespaces joined by a veth pair on a Linux 6.18 kernel, offloads off.
// One field a row, its meaning behind the bar.

extension KernelFrames {
    /// UDP over IPv6 to a closed port.
    static let datagram6 = octets(
        """
        02000000320c | destination 02:00:00:00:32:0c
        02000000320b | source 02:00:00:00:32:0b
        86dd | type IPv6
        60047bfe | version 6, flow label 0x47bfe
        000b | payload length 11
        11 | next header UDP
        40 | hop limit 64
        fd000050000000000000000000000011 | source fd00:50::11
        fd000050000000000000000000000012 | destination fd00:50::12
        ebdd | source port 60381
        14e9 | destination port 5353
        000b | length 11
        3fea | checksum
        616263 | payload
        """)
    /// To the solicited-node group.
    static let neighborSolicitation = octets(
        """
        3333ff000012 | destination 33:33:ff:00:00:12
        02000000320b | source 02:00:00:00:32:0b
        86dd | type IPv6
        60000000 | version 6, flow label 0x0
        0020 | payload length 32
        3a | next header ICMPv6
        ff | hop limit 255
        fd000050000000000000000000000011 | source fd00:50::11
        ff0200000000000000000001ff000012 | destination ff02::1:ff00:12
        87 | type 135
        00 | code 0
        4abd | checksum
        00000000 | reserved
        fd000050000000000000000000000012 | target
        0101 | option 1, length 8
        02000000320b | link-layer address
        """)
    /// Solicited, override.
    static let neighborAdvertisement = octets(
        """
        02000000320b | destination 02:00:00:00:32:0b
        02000000320c | source 02:00:00:00:32:0c
        86dd | type IPv6
        60000000 | version 6, flow label 0x0
        0020 | payload length 32
        3a | next header ICMPv6
        ff | hop limit 255
        fd000050000000000000000000000012 | source fd00:50::12
        fd000050000000000000000000000011 | destination fd00:50::11
        88 | type 136
        00 | code 0
        e96f | checksum
        60000000 | flags
        fd000050000000000000000000000012 | target
        0201 | option 2, length 8
        02000000320c | link-layer address
        """)
    /// The error about the IPv6 datagram.
    static let portUnreachable6 = octets(
        """
        02000000320b | destination 02:00:00:00:32:0b
        02000000320c | source 02:00:00:00:32:0c
        86dd | type IPv6
        600558cf | version 6, flow label 0x558cf
        003b | payload length 59
        3a | next header ICMPv6
        40 | hop limit 64
        fd000050000000000000000000000012 | source fd00:50::12
        fd000050000000000000000000000011 | destination fd00:50::11
        01 | type 1
        04 | code 4
        1690 | checksum
        00000000 | unused
        60047bfe | quoted version 6, flow label 0x47bfe
        000b | quoted payload length 11
        11 | quoted next header UDP
        40 | quoted hop limit 64
        fd000050000000000000000000000011 | quoted source fd00:50::11
        fd000050000000000000000000000012 | quoted destination fd00:50::12
        ebdd | quoted source port 60381
        14e9 | quoted destination port 5353
        000b | quoted length 11
        3fea | quoted checksum
        616263 | quoted payload
        """)
    /// A ping over IPv6.
    static let echoRequest6 = octets(
        """
        02000000320c | destination 02:00:00:00:32:0c
        02000000320b | source 02:00:00:00:32:0b
        86dd | type IPv6
        600a6314 | version 6, flow label 0xa6314
        000c | payload length 12
        3a | next header ICMPv6
        40 | hop limit 64
        fd000050000000000000000000000011 | source fd00:50::11
        fd000050000000000000000000000012 | destination fd00:50::12
        80 | type 128
        00 | code 0
        c025 | checksum
        0007 | identifier 7
        0001 | sequence 1
        61626364 | payload
        """)
    /// Its answer.
    static let echoReply6 = octets(
        """
        02000000320b | destination 02:00:00:00:32:0b
        02000000320c | source 02:00:00:00:32:0c
        86dd | type IPv6
        600b57a8 | version 6, flow label 0xb57a8
        000c | payload length 12
        3a | next header ICMPv6
        40 | hop limit 64
        fd000050000000000000000000000012 | source fd00:50::12
        fd000050000000000000000000000011 | destination fd00:50::11
        81 | type 129
        00 | code 0
        bf25 | checksum
        0007 | identifier 7
        0001 | sequence 1
        61626364 | payload
        """)
}
