// What is wrong with a listing is told with line and column, and what is right is read as what it means.

import Addressing
import Testing

@testable import Netstack

@Suite struct NFTablesListingTests {
    private static func table(_ body: String) -> String { "table ip t {\n\(body)\n}\n" }
    private static func chain(_ rule: String) -> String { table("\tchain c {\n\t\t\(rule)\n\t}") }

    static let errors: [(String, Int, Int, String)] = [
        ("nonsense", 1, 1, "'nonsense' stands where 'table' should"),
        ("table ipx t {\n}\n", 1, 7, "'ipx' is no family"),
        ("table ip {\n}\n", 1, 10, "the name of a table"),
        ("table ip t {\n", 2, 1, "the listing ends too early"),
        ("table ip t {\n}\ntable ip t {\n}\n", 3, 10, "stands here twice"),
        (table("\tchian c {\n\t}"), 2, 2, "'chian' is nothing a table holds"),
        (table("\tchain c {\n\t\taccept"), 5, 1, "ends too early"),
        (table("\tchain c {\n\t}\n\tchain c {\n\t}"), 4, 8, "chain c stands here twice"),
        (chain("acept"), 3, 3, "'acept' is no word of nft"),
        (chain("ip saddr 10.0.0.1 comit"), 3, 21, "'comit' is no word of nft"),
        (chain("ip saddr 10.0.0.1.1 accept"), 3, 12, "'10.0.0.1.1' is no ipv4_addr"),
        (chain("ip saddr"), 3, 11, "the end of the line is no ipv4_addr"),
        (chain("ip saddr fd00::1 accept"), 3, 12, "'fd00::1' is no ipv4_addr"),
        (chain("ct state newish accept"), 3, 12, "'newish' is no ct_state"),
        (chain("tcp dport { 22, 80 accept"), 3, 22, "'accept' stands where ',' or '}' should"),
        (chain("tcp dport vmap { 22 : acept }"), 3, 25, "'acept' is no verdict"),
        (chain("ip saddr . tcp dport { 10.0.0.1 }"), 3, 35, "'.' and a value of type inet_service"),
        (chain("jump"), 3, 7, "the name of a chain"),
        (chain("jump nowhere"), 3, 8, "ip t has no chain nowhere"),
        (chain("tcp dport vmap { 22 : goto nowhere }"), 3, 30, "ip t has no chain nowhere"),
        (chain("jump c"), 3, 8, "chains call each other in a loop: c, c"),
        (chain("ip saddr @nowhere accept"), 3, 12, "ip t has no set @nowhere"),
        (chain("numgen random mod 0 vmap { 0 : accept }"), 3, 10, "numgen cannot count so"),
        (chain("dnat to 10.0.0.x"), 3, 11, "'10.0.0.x' is no address to translate to"),
        (chain("log prefix \"open"), 3, 14, "a quoted text does not end"),
        (table("\tset s {\n\t\ttype ipv4_addr : verdict\n\t}"), 3, 3, "a set cannot have this type"),
        (table("\tset s {\n\t\ttype ipv4_addr\n\t\tflags odd\n\t}"), 4, 9, "'odd' is no flag"),
        (table("\tset s {\n\t\ttype ipv4_addr\n\t\ttimeout soon\n\t}"), 4, 11, "a time such as 1h30m"),
        (table("\tset s {\n\t\ttype ipv4_addr\n\t\tspeed 5\n\t}"), 4, 3, "'speed' is nothing a set has"),
        (table("\tset s {\n\t}"), 2, 6, "set s has no type"),
        (chain("ip sadr 10.0.0.1 drop"), 3, 6, "'sadr' is nothing of ip"),
        (chain("tcp dport 99999 drop"), 3, 13, "'99999' is no inet_service"),
        (chain("meta mark set 0xfffffffff"), 3, 17, "'0xfffffffff' is no mark"),
        (chain("accept drop"), 3, 10, "nothing happens behind accept"),
        (chain("type nat hook forward priority 0;"), 3, 17, "no nat chain hangs at forward"),
        (
            chain("meta mark set meta mark" + String(repeating: " or 0x1", count: 99)), 3, 251,
            "an end after 32 operators"
        ),
        (table("\tset s {\n\t\ttype mark\n\t}\n\tset s {\n\t}"), 5, 6, "set s stands here twice"),
        (chain("type filtre hook input priority 0; policy accept;"), 3, 8, "'filtre' is no type of chain"),
        (chain("type filter hook inptu priority 0; policy accept;"), 3, 20, "'inptu' is no hook"),
        (chain("type filter hook input priority dstnat; policy accept;"), 3, 35, "'dstnat' is no priority at input"),
        (chain("type filter hook input priority 0; policy maybe;"), 3, 45, "'maybe' is no policy"),
    ]

    @Test("An error names its line and column", arguments: errors)
    func error(text: String, line: Int, column: Int, message: String) {
        do {
            _ = try NFTablesRuleset(listing: text)
            Issue.record("taken: \(text)")
        } catch {
            #expect(error.message.contains(message))
            #expect((error.line, error.column) == (line, column), "\(error.message)")
            #expect(error.hint?.isEmpty == false)
        }
    }

    @Test func `A loop through chains and maps is named, and a base chain is no target`() throws {
        let loop = """
            table ip t {
            \tmap m {
            \t\ttype inet_service : verdict
            \t\telements = { 80 : goto a }
            \t}

            \tchain a {
            \t\tjump b
            \t}

            \tchain b {
            \t\ttcp dport vmap @m
            \t}
            }

            """
        let error = #expect(throws: RulesetError.self) { try NFTablesRuleset(listing: loop) }
        #expect(error?.message == "chains call each other in a loop: @m, a, b, @m")
        #expect(error?.line == 12)
        let base = Self.table("\tchain c {\n\t\tjump d\n\t}\n\tchain d {\n\t\t\(forwardFilter)\n\t}")
        let second = #expect(throws: RulesetError.self) { try NFTablesRuleset(listing: base) }
        #expect(second?.message == "d is a base chain: nothing can jump there")
    }

    @Test func `A long path of jumps is no loop and costs no depth`() throws {
        let count = 5000
        let chains = (0..<count).map { "\tchain c\($0) {\n\t\t\($0 + 1 < count ? "jump c\($0 + 1)" : "accept")\n\t}" }
        let ruleset = try NFTablesRuleset(listing: Self.table(chains.joined(separator: "\n")))
        #expect(ruleset.tables[0].chains.count == count)
    }

    @Test func `Cut off anywhere, a listing is refused or read, and nothing worse`() throws {
        let text = Self.table(
            "\tcomment \"x\"\n\tset s {\n\t\ttype ipv4_addr . inet_service\n\t\tflags dynamic,timeout\n\t\ttimeout 1h30m\n"
                + "\t\telements = { 10.0.0.1 . 80 timeout 1h expires 5s comment \"c\",\n\t\t\t     10.0.0.2 . 1-2 }\n\t}\n"
                + "\tchain c {\n\t\ttype nat hook prerouting priority dstnat - 5; policy accept;\n"
                + "\t\tmeta l4proto tcp dnat to numgen random mod 2 map { 0 : 10.0.0.1 . 80, 1 : 10.0.0.2 . 80 } random\n"
                + "\t\tupdate @s { ip saddr . tcp dport timeout 5s } counter packets 1 bytes 2 comment \"y\"\n\t}")
        let whole = try NFTablesRuleset(listing: text)
        #expect(whole.notices == [])
        let bytes = Array(text.utf8)
        for length in 0..<bytes.count - 2 {
            let part = String(decoding: bytes[..<length], as: UTF8.self)
            #expect((try? NFTablesRuleset(listing: part)) == nil || length == 0)
            // And without one octet in the middle.
            _ = try? NFTablesRuleset(
                listing: String(decoding: bytes[..<length] + bytes[(length + 1)...], as: UTF8.self))
        }
    }

    @Test func `A listing of another version of nft keeps its words`() throws {
        let text = Self.table(
            "\tset s {\n\t\ttype inet_service\n\t\telements = { 80, 443,\n\t\t\t     8080 }\n\t}\n\n"
                + "\tchain c {\n\t\ttype filter hook input priority 0; policy accept;\n"
                + "\t\ttcp flags & (fin | syn | rst | ack) == syn accept\n\t\tskuid 33 ip ttl lt 5 drop\n"
                + "\t\tmeta mark 0x01000000/8 accept\n\t\tsnat ip prefix to ip saddr map { 10.0.0.0/8 : 11.0.0.0/8 }\n"
                + "\t\tmeta l4proto tcp jump {\n\t\t\taccept\n\t\t}\n\t\tdnat to jhash ip saddr mod 2 map { 0 : 10.0.0.1 }\n\t}"
        )
        let ruleset = try NFTablesRuleset(listing: text)
        #expect(ruleset.listing() == text)
        #expect(ruleset.notices.map(\.line) == [13, 14, 17])
        let warned = text.replacing("\tchain c {\n", with: "\tchain c {\n# Warning: managed by iptables-nft\n")
        #expect(try NFTablesRuleset(listing: warned).listing() == text)
    }

    @Test func `Handles and Windows line ends are passed over`() throws {
        let text = "table ip t { # handle 1\r\n\tchain c { # handle 2\r\n\t\taccept # handle 3\r\n\t}\r\n}\r\n"
        let ruleset = try NFTablesRuleset(listing: text)
        #expect(ruleset.listing() == "table ip t {\n\tchain c {\n\t\taccept\n\t}\n}\n")
    }

    @Test func `What is written is read as what it means`() throws {
        let text = Self.chain(
            "ip saddr != 10.0.0.0/8 tcp dport { 80, 443 } meta mark set meta mark | 0x00004000 comment \"web\"")
        let rule = try NFTablesRuleset(listing: text).tables[0].chains[0].rules[0]
        #expect(
            rule
                == NFTablesRule(
                    .match(.ipSource, .notEqual, .prefix(IPPrefix("10.0.0.0/8")!)),
                    .match(
                        .field(.tcpDestinationPort), .implicit,
                        .set(.anonymous([NFTablesElement(.port(80)), NFTablesElement(.port(443))]))),
                    .setMark(.or, 0x4000), comment: "web"))
    }

    @Test(
        "Durations are printed as nft prints them",
        arguments: [
            (0, "0s"), (1, "1ms"), (10_800_000, "3h"), (86_400_000, "1d"), (5_400_000, "1h30m"),
            (599_992, "9m59s992ms"), (172_861_000, "2d1m1s"),
        ])
    func durations(milliseconds: Int64, text: String) {
        #expect(durationText(milliseconds * 1_000_000) == text)
    }
}
