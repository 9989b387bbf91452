// Anchors, aliases, merge keys, duplicates and limits: what stands between events and trees.

import Kubernetes
import Testing

@testable import Manifests

@Suite struct ManifestTreeTests {
    /// The first document of a text as a compact line: mappings in braces, lists in brackets.
    private func flat(_ text: String, limits: ManifestLimits = ManifestLimits()) throws(ManifestError) -> String {
        let source = SourceBuffer(name: "test.yaml", text: text)
        let stream = YAMLEventStream(source)
        var builder = ManifestTreeBuilder(stream, limits: limits)
        _ = try stream.next()
        try builder.readValue(try stream.next())
        let tree = ManifestTree(builder.values, source: source)
        return tree.root.map(flat) ?? ""
    }

    private func flat(_ node: ManifestNode) -> String {
        switch node.shape {
        case .mapping: "{" + node.members.map { "\($0.name.text)=\(flat($0.value))" }.joined(separator: " ") + "}"
        case .sequence: "[" + node.elements.map { flat($0) }.joined(separator: " ") + "]"
        case .plain, .quoted, .literal: node.text
        }
    }

    @Test func `aliases stand for a copy of their anchor`() throws {
        #expect(
            try flat("a: &x {p: 1, q: [2, 3]}\nb: *x\nc: [*x, &y z, *y]")
                == "{a={p=1 q=[2 3]} b={p=1 q=[2 3]} c=[{p=1 q=[2 3]} z z]}")
        #expect(try flat("a: &x 1\nb: &x 2\nc: *x") == "{a=1 b=2 c=2}")
        #expect(try flat("? &k name\n: 1\nb: *k") == "{name=1 b=name}")
    }

    @Test func `merge keys add what is not given directly`() throws {
        let base = "base: &base {a: 1, b: {c: 2}}\nmore: &more {b: 9, d: 4}\n"
        let head = "{base={a=1 b={c=2}} more={b=9 d=4} "
        #expect(try flat(base + "x: {<<: *base, a: 5}") == head + "x={a=5 b={c=2}}}")
        #expect(try flat(base + "x: {e: 6, <<: [*base, *more]}") == head + "x={e=6 a=1 b={c=2} d=4}}")
        #expect(try flat(base + "x:\n  y: 0\n  <<: {y: 1, z: [1, {w: 2}]}\n") == head + "x={y=0 z=[1 {w=2}]}}")
        #expect(try flat("x: {\"<<\": plain}") == "{x={<<=plain}}")
        #expect(
            errorText("x: {<<: 5}") == """
                test.yaml:1:5: the merge key << needs a mapping or a list of mappings
                  hint: name one with an alias: `<<: *defaults`
                """)
    }

    @Test func `a merge key works at the top of an object and in a list item`() throws {
        let text = """
            apiVersion: v1
            kind: List
            items:
            - &first
              apiVersion: v1
              kind: Pod
              metadata: {name: a}
              spec: {containers: [{name: c}]}
            - <<: *first
              metadata: {name: b}
            """
        #expect(try load(text).objects.pods.map(\.metadata.name) == ["a", "b"])
    }

    @Test func `anchors do not reach into the next document`() {
        #expect(
            errorText("apiVersion: &v v1\nkind: Secret\n---\napiVersion: *v\n") == """
                test.yaml:4:13: unknown alias *v
                  hint: define it earlier in the same document with &v, or put the value in quotes
                """)
    }

    @Test func `an alias inside the value it names is refused`() {
        #expect(errorText("a: &a [1, *a]") == "test.yaml:1:11: the alias *a stands inside the value it names")
    }

    @Test func `a field given twice is refused with both lines`() {
        #expect(
            errorText(pod(spec: "  nodeName: a\n  containers: []\n  nodeName: b")) == """
                test.yaml:8:3: the field "nodeName" is given twice, first in line 6
                  hint: keep one of the two
                """)
        #expect(errorText("apiVersion: v1\nkind: List\nitems: []\nitems: []\n").contains("first in line 3"))
        // Among many names the check goes by hash first.
        let many = (0..<50).map { "l\($0): x" }.joined(separator: ", ")
        #expect(errorText("a: {\(many), l31: y}").contains("the field \"l31\" is given twice"))
        #expect(errorText("a: {\(many)}").contains("the object has no `kind`"))
    }

    @Test func `aliases of aliases are cut off`() {
        var text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        for (inner, outer) in zip("abcdefgh", "bcdefghi") {
            text += "\(outer): &\(outer) [" + Array(repeating: "*\(inner)", count: 10).joined(separator: ", ") + "]\n"
        }
        #expect(
            errorText(text) == """
                test.yaml:5:36: aliases make the document too large (more than 100000 values)
                  hint: write the values out, or use fewer aliases of aliases
                """)
        let merges = "a: &a {a1: 1, a2: 2}\n" + (1...9).map { "b\($0): &a {<<: [*a, *a], c\($0): 1}\n" }.joined()
        #expect(errorText(merges).contains("the object has no `kind`"))
    }

    @Test func `nesting is bounded and costs no stack`() {
        for opening in ["[", "{a: ", "- ", "? "] {
            let text = String(repeating: opening, count: 20_000)
            #expect(errorText(text).hasPrefix("test.yaml:1:"), "\(opening)")
        }
        #expect(
            errorText(String(repeating: "[", count: 101))
                == "test.yaml:1:101: lists and mappings are nested more than 100 deep")
        let lines = (0..<200).map { String(repeating: " ", count: $0) + "a:\n" }.joined()
        #expect(errorText(lines) == "test.yaml:102:102: lists and mappings are nested more than 100 deep")
    }

    @Test func `an object has a bounded number of values and octets`() {
        var limits = ManifestLimits()
        limits.valuesPerObject = 10
        #expect(throws: ManifestError.self) { try flat("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]", limits: limits) }
        #expect(throws: Never.self) { try flat("[1, 2, 3, 4, 5, 6, 7, 8, 9]", limits: limits) }
        limits.textPerObject = 100
        #expect(throws: ManifestError.self) { try flat(String(repeating: "x", count: 101), limits: limits) }
        #expect(throws: Never.self) { try flat(String(repeating: "x", count: 100), limits: limits) }
        limits.fieldNameLength = 3
        #expect(throws: ManifestError.self) { try flat("{name: 1}", limits: limits) }
    }

    @Test func `a field name must be a word`() {
        #expect(errorText("a: {[x]: 1}").hasPrefix("test.yaml:1:5: a field name must be text"))
        #expect(errorText("{? : x}").hasPrefix("test.yaml:1:4: a field without a name"))
    }

    @Test func `paths are written as the API server writes them`() throws {
        let text = "spec: {ports: [{port: 1}, {port: 2}]}\nmetadata: {labels: {a.b/c: x, app: y}}"
        let source = SourceBuffer(name: "test.yaml", text: text)
        let stream = YAMLEventStream(source)
        var builder = ManifestTreeBuilder(stream, limits: ManifestLimits())
        _ = try stream.next()
        try builder.readValue(try stream.next())
        let root = try #require(ManifestTree(builder.values, source: source).root)
        #expect(root.path == "")
        #expect(root["spec"]?["ports"]?.elements[1]["port"]?.path == "spec.ports[1].port")
        let labels = try #require(root["metadata"]?["labels"]?.members)
        #expect(labels.map(\.value.path) == ["metadata.labels[a.b/c]", "metadata.labels.app"])
        #expect(labels[0].name.path == "metadata.labels[a.b/c]")
        #expect(labels[1].value.position == (2, 36))
    }
}
