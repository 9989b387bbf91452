// The small values of the object model: amounts, spans, paths, selectors and the tables that hold objects.

import Addressing
import Kubernetes
import Testing

@Suite struct ObjectModelTests {
    @Test(
        "a quantity counts thousandths, rounded up",
        arguments: [
            ("100m", 100), ("1", 1000), ("1.5", 1500), ("0.1", 100), ("64Mi", 67_108_864_000), ("1k", 1_000_000),
            ("2e3", 2_000_000), ("1n", 1), ("1Ki", 1_024_000), ("-1", -1000), ("+2", 2000), (".5", 500),
            ("16Ei", Int.max), ("0", 0), ("1500u", 2),
        ])
    func quantity(text: String, milli: Int) {
        #expect(Quantity(text)?.milliValue == milli)
    }

    @Test(
        "text that is no quantity is refused",
        arguments: ["", "m", "1.2.3", "1 ", "1mi", "ten", "--1", "1e99", "Mi", "0x10"])
    func noQuantity(text: String) {
        #expect(Quantity(text) == nil)
    }

    @Test(
        "durations are spelled as in Go",
        arguments: [
            ("10us", 10_000), ("0", 0), ("1.5s", 1_500_000_000), ("1h30m", 5_400_000_000_000), ("250ms", 250_000_000),
            ("7ns", 7), ("-2s", -2_000_000_000), ("2\u{b5}s", 2000),
        ] as [(String, Int64)])
    func duration(text: String, value: Int64) {
        #expect(nanoseconds(duration: text) == value)
    }

    @Test(
        "text that is no duration is refused", arguments: ["", "10", "s", "1 s", "1d", "-", "9999999999999h", "1..5s"])
    func noDuration(text: String) {
        #expect(nanoseconds(duration: text) == nil)
    }

    @Test("a share is per cent or a fraction of one")
    func share() {
        #expect(perMillion(share: "0%") == 0)
        #expect(perMillion(share: "1.5%") == 15_000)
        #expect(perMillion(share: "0.01") == 10_000)
        #expect(perMillion(share: "100%") == 1_000_000)
        for text in ["101%", "1.1", "", "%", "1%%", "-1%"] { #expect(perMillion(share: text) == nil, "\(text)") }
    }

    @Test("a listener is a protocol and a port")
    func listener() {
        #expect(Listener("tcp/8080") == Listener(protocol: .tcp, port: 8080))
        #expect(Listener("UDP/7")?.description == "udp/7")
        for text in ["tcp/0", "tcp/65536", "icmp/1", "tcp", "tcp/", "/80", "tcp/+80", "8080"] {
            #expect(Listener(text) == nil, "\(text)")
        }
    }

    @Test("a field path reads like the API server's")
    func fieldPath() {
        #expect(FieldPath("spec", "ports").index(0).key("nodePort").description == "spec.ports[0].nodePort")
        #expect(FieldPath("metadata", "labels").key("a.b/c").description == "metadata.labels[a.b/c]")
        #expect(FieldPath().description == "")
    }

    @Test("an error names object, field, reason and remedy")
    func errorText() {
        let error = ObjectError(service("web", "shop"), FieldPath("spec", "type"), "Required value", hint: "set it")
        #expect(error.description == "Service shop/web: spec.type: Required value (set it)")
        #expect(ObjectWarning(kind: "Node", name: "", message: "none").description == "Node: none")
    }

    @Test(
        "a label selector holds when all its parts do",
        arguments: [
            ("In", ["a", "b"], true), ("In", ["c"], false), ("NotIn", ["c"], true), ("NotIn", ["a"], false),
            ("Exists", [], true), ("DoesNotExist", [], false), ("Gt", ["1"], false), ("Unknown", [], false),
        ])
    func selector(name: String, values: [String], holds: Bool) {
        let requirement = LabelRequirement(key: "k", operator: .init(rawValue: name), values: values)
        let selector = LabelSelector(matchLabels: ["x": "1"], matchExpressions: [requirement])
        #expect(selector.matches(["k": "a", "x": "1"]) == holds)
        #expect(!selector.matches(["k": "a", "x": "2"]))
    }

    @Test("a label that is missing satisfies NotIn and DoesNotExist")
    func missingLabel() {
        #expect(LabelRequirement(key: "k", operator: .notIn, values: ["a"]).matches([:]))
        #expect(LabelRequirement(key: "k", operator: .doesNotExist).matches([:]))
        #expect(!LabelRequirement(key: "k", operator: .in, values: ["a"]).matches([:]))
        #expect(LabelRequirement(key: "k", operator: .greaterThan, values: ["4"]).matches(["k": "5"]))
        #expect(!LabelRequirement(key: "k", operator: .lessThan, values: ["5"]).matches(["k": "5"]))
    }

    @Test(
        "a toleration tolerates taints it names",
        arguments: [
            (Toleration(operator: "Exists"), true), (Toleration(key: "k", operator: "Exists"), true),
            (Toleration(key: "k", operator: "Equal", value: "v"), true), (Toleration(key: "k", value: "v"), true),
            (Toleration(key: "k", value: "other"), false), (Toleration(key: "j", operator: "Exists"), false),
            (Toleration(key: "k", operator: "Exists", effect: .noExecute), false),
            (Toleration(key: "k", operator: "Exists", effect: .noSchedule), true),
        ])
    func toleration(toleration: Toleration, tolerates: Bool) {
        #expect(toleration.tolerates(Taint(key: "k", value: "v", effect: .noSchedule)) == tolerates)
    }

    @Test("a table keeps input order, replaces in place and finds by name")
    func table() {
        var table = ObjectTable<Pod>()
        #expect(table.insert(pod("b")) == nil)
        #expect(table.insert(pod("a", "")) == nil)
        let replaced = table.insert(pod("b", labels: ["new": "yes"]))
        #expect(replaced?.metadata.labels == [:])
        #expect(table.map(\.key.description) == ["default/b", "default/a"])
        #expect(table["default", "b"]?.metadata.labels == ["new": "yes"])
        #expect(table["other", "b"] == nil)
        table[1].spec.nodeName = "n"
        #expect(table["default", "a"]?.spec.nodeName == "n")
        table.removeAll { $0.metadata.name == "b" }
        #expect(table.position(of: ObjectKey(namespace: "default", name: "a")) == 0)
        #expect(table["default", "b"] == nil)
    }

    @Test("objects with a generateName get names of their own")
    func generateName() {
        var table = ObjectTable<Job>()
        for _ in 0..<3 {
            table.insert(Job(metadata: ObjectMeta(generateName: "run-"), template: template(["a": "b"])))
        }
        #expect(Set(table.map(\.metadata.name)).count == 3)
        #expect(table.allSatisfy { $0.metadata.name.hasPrefix("run-") && $0.metadata.name.utf8.count == 9 })
    }

    @Test("cluster-scoped objects have no namespace")
    func clusterScoped() {
        var table = ObjectTable<Node>()
        table.insert(Node(metadata: meta("n", "default")))
        #expect(table["", "n"] != nil)
        #expect(table[0].key.description == "n")
    }

    @Test("generated names use the safe alphabet, and UIDs are version 4 UUIDs")
    func randomNames() {
        var generator = SeededGenerator(seed: 3)
        let letters = Set("bcdfghjklmnpqrstvwxz2456789")
        let suffixes = (0..<200).map { _ in generator.nameSuffix() }
        #expect(Set(suffixes).count == 200)
        #expect(suffixes.allSatisfy { $0.count == 5 })
        #expect(Set(suffixes.joined()) == letters)
        let uuid = Array(generator.uuid())
        #expect(uuid.count == 36 && uuid[14] == "4" && "89ab".contains(uuid[19]))
        #expect([8, 13, 18, 23].allSatisfy { uuid[$0] == "-" })
    }
}
