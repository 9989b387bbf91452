// Frames recorded from a Linux 6.18 kernel: two network namespaces joined by a veth pair and a VXLAN device over it,
// named and numbered as flannel does, offloads off. One field a row, its meaning behind the bar.

enum KernelFrames {
    /// Broadcast request.
    static let arpRequest = octets(
        """
        ffffffffffff | destination ff:ff:ff:ff:ff:ff
        02000000320b | source 02:00:00:00:32:0b
        0806 | type ARP
        0001 | hardware type Ethernet
        0800 | protocol type IPv4
        0604 | lengths 6 and 4
        0001 | operation request
        02000000320b | sender 02:00:00:00:32:0b
        c0a8320b | sender 192.168.50.11
        000000000000 | target 00:00:00:00:00:00
        c0a8320c | target 192.168.50.12
        """)
    /// The unicast answer.
    static let arpReply = octets(
        """
        02000000320b | destination 02:00:00:00:32:0b
        02000000320c | source 02:00:00:00:32:0c
        0806 | type ARP
        0001 | hardware type Ethernet
        0800 | protocol type IPv4
        0604 | lengths 6 and 4
        0002 | operation reply
        02000000320c | sender 02:00:00:00:32:0c
        c0a8320c | sender 192.168.50.12
        02000000320b | target 02:00:00:00:32:0b
        c0a8320b | target 192.168.50.11
        """)
    /// A SYN as the underlay sees it: Ethernet, IPv4, UDP, VXLAN, Ethernet, IPv4, TCP.
    static let encapsulatedSynchronize = octets(
        """
        02000000320c | destination 02:00:00:00:32:0c
        02000000320b | source 02:00:00:00:32:0b
        0800 | type IPv4
        45 | version 4, header length 20
        00 | traffic class 0x00
        006e | total length 110
        26d2 | identification 9938
        0000 | fragment offset 0
        40 | time to live 64
        11 | protocol UDP
        6e45 | header checksum
        c0a8320b | source 192.168.50.11
        c0a8320c | destination 192.168.50.12
        950f | source port 38159
        2118 | destination port 8472
        005a | length 90
        7dad | checksum
        08 | VXLAN flags: I
        000000 | reserved
        000001 | VNI 1
        00 | reserved
        0200000af401 | destination 02:00:00:0a:f4:01
        0200000af400 | source 02:00:00:0a:f4:00
        0800 | type IPv4
        45 | version 4, header length 20
        00 | traffic class 0x00
        003c | total length 60
        68e5 | identification 26853
        4000 | DF, fragment offset 0
        40 | time to live 64
        06 | protocol TCP
        baeb | header checksum
        0af40002 | source 10.244.0.2
        0af40102 | destination 10.244.1.2
        9db0 | source port 40368
        1f90 | destination port 8080
        b17abe23 | sequence 2977611299
        00000000 | acknowledgment 0
        a002 | header length 40, SYN
        fd5c | window 64860
        e34c | checksum
        0000 | urgent pointer
        02040582 | mss 1410
        0402 | SACK permitted
        080ad9f749c300000000 | timestamps 3656862147, echo 0
        01 | nop
        03030a | window scale 10
        """)
    /// A SYN from a pod with an MTU of 1450.
    static let synchronize = octets(
        """
        0200000af401 | destination 02:00:00:0a:f4:01
        0200000af400 | source 02:00:00:0a:f4:00
        0800 | type IPv4
        45 | version 4, header length 20
        00 | traffic class 0x00
        003c | total length 60
        68e5 | identification 26853
        4000 | DF, fragment offset 0
        40 | time to live 64
        06 | protocol TCP
        baeb | header checksum
        0af40002 | source 10.244.0.2
        0af40102 | destination 10.244.1.2
        9db0 | source port 40368
        1f90 | destination port 8080
        b17abe23 | sequence 2977611299
        00000000 | acknowledgment 0
        a002 | header length 40, SYN
        fd5c | window 64860
        e34c | checksum
        0000 | urgent pointer
        02040582 | mss 1410
        0402 | SACK permitted
        080ad9f749c300000000 | timestamps 3656862147, echo 0
        01 | nop
        03030a | window scale 10
        """)
    /// Its answer.
    static let synchronizeAcknowledgment = octets(
        """
        0200000af400 | destination 02:00:00:0a:f4:00
        0200000af401 | source 02:00:00:0a:f4:01
        0800 | type IPv4
        45 | version 4, header length 20
        00 | traffic class 0x00
        003c | total length 60
        0000 | identification 0
        4000 | DF, fragment offset 0
        40 | time to live 64
        06 | protocol TCP
        23d1 | header checksum
        0af40102 | source 10.244.1.2
        0af40002 | destination 10.244.0.2
        1f90 | source port 8080
        9db0 | destination port 40368
        fbdc300f | sequence 4225511439
        b17abe24 | acknowledgment 2977611300
        a012 | header length 40, SYN ACK
        fb34 | window 64308
        31fc | checksum
        0000 | urgent pointer
        02040582 | mss 1410
        0402 | SACK permitted
        080af6fd907dd9f749c3 | timestamps 4143812733, echo 3656862147
        01 | nop
        03030a | window scale 10
        """)
    /// A segment with payload.
    static let httpRequest = octets(
        """
        0200000af401 | destination 02:00:00:0a:f4:01
        0200000af400 | source 02:00:00:0a:f4:00
        0800 | type IPv4
        45 | version 4, header length 20
        00 | traffic class 0x00
        0046 | total length 70
        68e7 | identification 26855
        4000 | DF, fragment offset 0
        40 | time to live 64
        06 | protocol TCP
        badf | header checksum
        0af40002 | source 10.244.0.2
        0af40102 | destination 10.244.1.2
        9db0 | source port 40368
        1f90 | destination port 8080
        b17abe24 | sequence 2977611300
        fbdc3010 | acknowledgment 4225511440
        8018 | header length 32, PSH ACK
        0040 | window 64
        7cd3 | checksum
        0000 | urgent pointer
        01 | nop
        01 | nop
        080ad9f749c3f6fd907d | timestamps 3656862147, echo 4143812733
        474554202f20485454502f312e310d0a0d0a | payload
        """)
    /// The answer to it.
    static let httpResponse = octets(
        """
        0200000af400 | destination 02:00:00:0a:f4:00
        0200000af401 | source 02:00:00:0a:f4:01
        0800 | type IPv4
        45 | version 4, header length 20
        00 | traffic class 0x00
        004c | total length 76
        ac5f | identification 44127
        4000 | DF, fragment offset 0
        40 | time to live 64
        06 | protocol TCP
        7761 | header checksum
        0af40102 | source 10.244.1.2
        0af40002 | destination 10.244.0.2
        1f90 | source port 8080
        9db0 | destination port 40368
        fbdc3010 | sequence 4225511440
        b17abe36 | acknowledgment 2977611318
        8018 | header length 32, PSH ACK
        003f | window 63
        bf46 | checksum
        0000 | urgent pointer
        01 | nop
        01 | nop
        080af6fd907dd9f749c3 | timestamps 4143812733, echo 3656862147
        485454502f312e3120323030204f4b0d0a0d0a68656c6c6f | payload
        """)
    /// UDP to a closed port.
    static let datagram = octets(
        """
        02000000320c | destination 02:00:00:00:32:0c
        02000000320b | source 02:00:00:00:32:0b
        0800 | type IPv4
        45 | version 4, header length 20
        00 | traffic class 0x00
        001f | total length 31
        88d0 | identification 35024
        4000 | DF, fragment offset 0
        40 | time to live 64
        11 | protocol UDP
        cc95 | header checksum
        c0a8320b | source 192.168.50.11
        c0a8320c | destination 192.168.50.12
        d621 | source port 54817
        14e9 | destination port 5353
        000b | length 11
        6b02 | checksum
        616263 | payload
        """)
    /// The error about it.
    static let portUnreachable = octets(
        """
        02000000320b | destination 02:00:00:00:32:0b
        02000000320c | source 02:00:00:00:32:0c
        0800 | type IPv4
        45 | version 4, header length 20
        c0 | traffic class 0xc0
        003b | total length 59
        e7c6 | identification 59334
        0000 | fragment offset 0
        40 | time to live 64
        01 | protocol ICMP
        acd3 | header checksum
        c0a8320c | source 192.168.50.12
        c0a8320b | destination 192.168.50.11
        03 | type 3
        03 | code 3
        e281 | checksum
        00000000 | unused
        45 | quoted version 4, header length 20
        00 | quoted traffic class 0x00
        001f | quoted total length 31
        88d0 | quoted identification 35024
        4000 | quoted DF, fragment offset 0
        40 | quoted time to live 64
        11 | quoted protocol UDP
        cc95 | quoted header checksum
        c0a8320b | quoted source 192.168.50.11
        c0a8320c | quoted destination 192.168.50.12
        d621 | quoted source port 54817
        14e9 | quoted destination port 5353
        000b | quoted length 11
        6b02 | quoted checksum
        616263 | quoted payload
        """)
    /// A ping.
    static let echoRequest = octets(
        """
        02000000320c | destination 02:00:00:00:32:0c
        02000000320b | source 02:00:00:00:32:0b
        0800 | type IPv4
        45 | version 4, header length 20
        00 | traffic class 0x00
        002c | total length 44
        2c28 | identification 11304
        4000 | DF, fragment offset 0
        40 | time to live 64
        01 | protocol ICMP
        2941 | header checksum
        c0a8320b | source 192.168.50.11
        c0a8320c | destination 192.168.50.12
        08 | type 8
        00 | code 0
        bfb7 | checksum
        0007 | identifier 7
        0001 | sequence 1
        000102030405060708090a0b0c0d0e0f | payload
        """)
    /// Its answer: DF clear, an identification of its own.
    static let echoReply = octets(
        """
        02000000320b | destination 02:00:00:00:32:0b
        02000000320c | source 02:00:00:00:32:0c
        0800 | type IPv4
        45 | version 4, header length 20
        00 | traffic class 0x00
        002c | total length 44
        e7c8 | identification 59336
        0000 | fragment offset 0
        40 | time to live 64
        01 | protocol ICMP
        ada0 | header checksum
        c0a8320c | source 192.168.50.12
        c0a8320b | destination 192.168.50.11
        00 | type 0
        00 | code 0
        c7b7 | checksum
        0007 | identifier 7
        0001 | sequence 1
        000102030405060708090a0b0c0d0e0f | payload
        """)
    /// A refused connection.
    static let reset = octets(
        """
        02000000320b | destination 02:00:00:00:32:0b
        02000000320c | source 02:00:00:00:32:0c
        0800 | type IPv4
        45 | version 4, header length 20
        00 | traffic class 0x00
        0028 | total length 40
        0000 | identification 0
        4000 | DF, fragment offset 0
        40 | time to live 64
        06 | protocol TCP
        5568 | header checksum
        c0a8320c | source 192.168.50.12
        c0a8320b | destination 192.168.50.11
        0051 | source port 81
        8476 | destination port 33910
        00000000 | sequence 0
        3d18a7f6 | acknowledgment 1025026038
        5014 | header length 20, RST ACK
        0000 | window 0
        6092 | checksum
        0000 | urgent pointer
        """)
    /// One connection as flannel.1 saw it, first to last frame.
    static let conversation: [[UInt8]] = [
        synchronize, synchronizeAcknowledgment,
        octets(
            """
            0200000af4010200000af40008004500003468e640004006baf20af400020af401029db01f90b17abe24fbdc
            3010801000405b8e00000101080ad9f749c3f6fd907d
            """),
        httpRequest,
        octets(
            """
            0200000af4000200000af401080045000034ac5e40004006777a0af401020af400021f909db0fbdc3010b17a
            be368010003f5b7d00000101080af6fd907dd9f749c3
            """),
        httpResponse,
        octets(
            """
            0200000af4010200000af40008004500003468e840004006baf00af400020af401029db01f90b17abe36fbdc
            3028801000405b6400000101080ad9f749c3f6fd907d
            """),
        octets(
            """
            0200000af4000200000af401080045000034ac604000400677780af401020af400021f909db0fbdc3028b17a
            be368011003f5b6400000101080af6fd907dd9f749c3
            """),
        octets(
            """
            0200000af4010200000af40008004500003468e940004006baef0af400020af401029db01f90b17abe36fbdc
            3028801100405b6300000101080ad9f749c3f6fd907d
            """),
        octets(
            """
            0200000af4000200000af401080045000034ac614000400677770af401020af400021f909db0fbdc3029b17a
            be378010003f5b6300000101080af6fd907dd9f749c3
            """),
        octets(
            """
            0200000af4010200000af40008004500003468ea40004006baee0af400020af401029db01f90b17abe37fbdc
            3029801000405b6200000101080ad9f749c3f6fd907d
            """),
    ]

    /// The headers of three fragments of a datagram with 3000 octets of payload.
    static let fragmentHeaders: [[UInt8]] = [
        octets("02000000320c02000000320b0800450005dc26d82000401148d1c0a8320bc0a8320c"),
        octets("02000000320c02000000320b0800450005dc26d820b940114818c0a8320bc0a8320c"),
        octets("02000000320c02000000320b08004500004426d8017240116cf7c0a8320bc0a8320c"),
    ]
    /// The UDP header in the first of them; the payload is 3000 times the letter z.
    static let fragmentedUDPHeader = octets("8b8014ea0bc0bcf5")
}
