// SHA-256 against the examples of FIPS 180-4 (published by NIST) and against every place where padding begins anew.

import Addressing
import NodeAgents
import Testing

@Suite("SHA-256")
struct SHA256Tests {
    @Test(
        "the published examples hash as published",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
            (
                "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrst"
                    + "nopqrstu", "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
            ),
        ])
    func publishedExamples(message: String, expected: String) {
        #expect(hexadecimal(SHA256.digest(of: message.utf8)) == expected)
    }

    @Test(
        "lengths around the block size are padded right",
        arguments: [
            (55, "463eb28e72f82e0a96c0a4cc53690c571281131f672aa229e0d45ae59b598b59"),
            (56, "da2ae4d6b36748f2a318f23e7ab1dfdf45acdc9d049bd80e59de82a60895f562"),
            (57, "2fe741af801cc238602ac0ec6a7b0c3a8a87c7fc7d7f02a3fe03d1c12eac4d8f"),
            (63, "29af2686fd53374a36b0846694cc342177e428d1647515f078784d69cdb9e488"),
            (64, "fdeab9acf3710362bd2658cdc9a29e8f9c757fcf9811603a8c447cd1d9151108"),
            (65, "4bfd2c8b6f1eec7a2afeb48b934ee4b2694182027e6d0fc075074f2fabb31781"),
            (119, "da18797ed7c3a777f0847f429724a2d8cd5138e6ed2895c3fa1a6d39d18f7ec6"),
            (120, "f52b23db1fbb6ded89ef42a23ce0c8922c45f25c50b568a93bf1c075420bbb7c"),
            (128, "471fb943aa23c511f6f72f8d1652d9c880cfa392ad80503120547703e56a2be5"),
        ])
    func paddingBoundaries(length: Int, expected: String) {
        let message = (0..<length).map { UInt8($0 % 251) }
        #expect(hexadecimal(SHA256.digest(of: message)) == expected)
    }

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

@Suite("Chain names")
struct ChainNameTests {
    @Test(
        "a name is hashed as kube-proxy hashes it",
        arguments: [
            ("default/kubernetes:httpstcp", "NPX46M4PTMTKRN6Y"),
            ("kube-system/kube-dns:dnsudp", "TCOU7JCQXEZGVUNU"),
            ("default/kubernetes:httpstcp10.0.0.5:6443", "LGAKEG2JTP62DLLW"),
            ("kube-system/kube-dns:dnsudp10.244.0.2:53", "YIL6JZP7A3QYXJU2"),
            ("v6/web:httptcp[fd00::1:5]:8080", "TBE2O4SQF4FYLV4G"),
            // Eight characters: the form nftables mode uses.
            ("default/kubernetes/tcp/https", "2QRHZV4L"),
            ("kube-system/kube-dns/udp/dns", "FY5PMXPG"),
            ("a/b/tcp/", "AM5K2J4N"),
            ("default/kubernetes/tcp/https__10.0.0.5/6443", "LZ7ZPXUN"),
            ("v6/web/tcp/http__fd00..1.5/8080", "H3S74GEA"),
        ])
    func hashedNames(text: String, expected: String) {
        #expect(hashedName(text, length: expected.utf8.count) == expected)
    }

    @Test("the chains of a port share one hash")
    func serviceChains() {
        let chains = ServiceChainNames(portName: "kube-system/kube-dns:dns", protocol: .udp)
        #expect(chains.cluster == "KUBE-SVC-TCOU7JCQXEZGVUNU")
        #expect(chains.local == "KUBE-SVL-TCOU7JCQXEZGVUNU")
        #expect(chains.external == "KUBE-EXT-TCOU7JCQXEZGVUNU")
        #expect(chains.firewall == "KUBE-FW-TCOU7JCQXEZGVUNU")
        #expect(
            endpointChainName(portName: "kube-system/kube-dns:dns", protocol: .udp, endpoint: "10.244.0.2:53")
                == "KUBE-SEP-YIL6JZP7A3QYXJU2")
    }
}
