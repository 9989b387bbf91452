// Documents, lists and JSON: every way objects come in a file, and that no cut of a file does harm.

import Kubernetes
import Testing

@testable import Manifests

@Suite struct ManifestReaderTests {
    private func podItem(_ name: String) -> String {
        "{apiVersion: v1, kind: Pod, metadata: {name: \(name)}, spec: {containers: [{name: c}]}}"
    }

    private func names(_ text: String) throws(ManifestError) -> [String] {
        try load(text).objects.pods.map(\.metadata.name)
    }

    @Test func `documents follow one another and empty ones are passed over`() throws {
        let text = "# head\n---\n\(podItem("a"))\n---\n# nothing\n---\nnull\n...\n---\n\(podItem("b"))\n---\n"
        #expect(try names(text) == ["a", "b"])
        #expect(
            try load(text).objects.pods.map(\.metadata.origin) == [
                ObjectOrigin(source: 0, item: 0), ObjectOrigin(source: 0, item: 1),
            ])
    }

    @Test func `a list may stand anywhere, its kind before or behind its items`() throws {
        let items = "items:\n- \(podItem("a"))\n- \(podItem("b"))\n"
        #expect(try names("apiVersion: v1\nkind: List\n" + items) == ["a", "b"])
        #expect(try names("apiVersion: v1\n" + items + "kind: List\nmetadata: {resourceVersion: ''}\n") == ["a", "b"])
        #expect(try names(podItem("x") + "\n---\nkind: List\napiVersion: v1\n" + items) == ["x", "a", "b"])
        #expect(
            try names("kind: List\napiVersion: v1\nitems:\n- {kind: List, items: [\(podItem("o"))]}\n- \(podItem("m"))")
                == ["o", "m"])
    }

    @Test func `a typed list gives its items their kind`() throws {
        let items = "items:\n- {metadata: {name: a}, spec: {containers: [{name: c}]}}\n"
        #expect(try names("kind: PodList\napiVersion: v1\n" + items) == ["a"])
        #expect(try names("metadata: {x: [1]}\n" + items + "kind: PodList\napiVersion: v1\n") == ["a"])
        #expect(try names("kind: Secret\napiVersion: v1\n---\n" + items + "kind: PodList\napiVersion: v1\n") == ["a"])
    }

    @Test func `an empty list is no error and no object`() throws {
        #expect(try load("kind: List\napiVersion: v1\nitems: []\n---\n" + podItem("a")).objects.pods.count == 1)
        #expect(
            errorText("kind: List\napiVersion: v1\n") == """
                test.yaml: there is no object in the input
                  hint: give at least one manifest with `apiVersion:` and `kind:`
                """)
    }

    @Test func `only a list has items`() {
        #expect(
            errorText("items:\n- \(podItem("a"))\nkind: Pod\napiVersion: v1\n") == """
                test.yaml:1:1: items: only a list has items, and the kind is "Pod"
                  hint: write `kind: List`
                """)
    }

    @Test func `a document that is no object is refused`() {
        #expect(
            errorText("- \(podItem("a"))\n") == """
                test.yaml:1:1: expected an object, found a list
                  hint: put the objects under `items:` of a `kind: List`
                """)
        #expect(
            errorText("just text\n") == """
                test.yaml:1:1: expected an object, found a string "just text"
                  hint: a manifest begins with `apiVersion:` and `kind:`
                """)
        #expect(
            errorText("kind: List\napiVersion: v1\nitems: [5]\n").hasPrefix(
                "test.yaml:3:9: expected an object, found a number (5)\n"))
    }

    @Test func `errors in a list item name the item's own path and line`() {
        let text = """
            {
              "apiVersion": "v1",
              "items": [
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
                 "spec": {"containers": [{"name": "c", "ports": [{"containerPort": "x"}]}]}}
              ],
              "kind": "List"
            }
            """
        #expect(
            errorText(text)
                == "test.yaml:5:72: spec.containers[0].ports[0].containerPort: "
                + "expected an integer, found a string \"x\""
        )
        let nested =
            "kind: List\napiVersion: v1\nitems:\n- kind: List\n  items: [{kind: Pod, apiVersion: v1, metadata: 5}]"
        #expect(errorText(nested).contains(": metadata: expected a mapping, found a number (5)"))
    }

    @Test func `JSON gives the same objects as YAML`() throws {
        let yaml = """
            apiVersion: v1
            kind: Service
            metadata:
              name: web
              labels: {app: web}
              annotations:
                note: |
                  line one
                  "line" two
                emoji: "\u{1F600}"
            spec:
              ports:
              - {name: http, port: 80, targetPort: http}
              - {name: api, port: 81, targetPort: 8081, nodePort: 30081}
            """
        let json = """
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "labels": {"app": "web"},
            \t"annotations": {"note": "line one\\n\\u0022line\\" two\\n", "emoji": "\\ud83d\\uDE00"}},
             "spec": {"ports": [{"name":"http","port":80,"targetPort":"http"},
              {"name": "api", "port": 81, "targetPort": 8081, "nodePort": 30081}]}}
            """
        #expect(try load(json).objects == load(yaml).objects)
    }

    @Test func `halves of surrogate pairs become replacement characters`() throws {
        let rows: [(String, String)] = [
            ("\\ud83d", "\u{fffd}"), ("\\ude00x", "\u{fffd}x"), ("\\ud83d\\u0041", "\u{fffd}A"),
            ("\\\\ud83d\\\\ude00", "\\ud83d\\ude00"), ("\\ud800\\udc00", "\u{10000}"), ("a\\u00e9\\/", "a\u{e9}/"),
        ]
        for (escaped, text) in rows {
            let json =
                #"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a","annotations":{"k":"\#(escaped)"}}}"#
            #expect(try load(json).objects.namespaces[0].metadata.annotations["k"] == text, "\(escaped)")
        }
    }

    static let sample = """
        # A sample with every construct.
        %YAML 1.1
        ---
        apiVersion: v1
        kind: List
        items:
        - &pod
          apiVersion: v1
          kind: Pod
          metadata: {name: "a\\u00e9\\x41", labels: {x: 'it''s'}}
          spec:
            containers:
            - name: >-
                folded
                text
              ports: [{containerPort: 0x50}]
        - <<: *pod
          metadata:
            name: b
            annotations:
              text: |2
                  indented
                lines
        ---
        {"kind": "Host", "apiVersion": "podnet.dev/v1alpha1", "spec": {"addresses": ["10.0.0.1/8"]}}
        """

    @Test func `a file cut anywhere is an error or fewer objects, never a crash`() {
        let bytes = Array(ManifestReaderTests.sample.utf8)
        for count in 0...bytes.count {
            let source = SourceBuffer(name: "cut.yaml", bytes: bytes[..<count])
            var reader = ManifestReader(source, limits: ManifestLimits())
            do {
                try reader.forEachObject { (_, _) in true }
            } catch {
                #expect(error.line > 0 && !error.message.isEmpty, "\(count)")
            }
        }
    }

    @Test func `a file with any octet changed is an error or other objects, never a crash`() {
        let bytes = Array(ManifestReaderTests.sample.utf8)
        for position in bytes.indices {
            for octet: UInt8 in [0, 0x09, 0x0a, 0x22, 0x26, 0x2a, 0x2d, 0x3a, 0x5b, 0x7b, 0x7d, 0x80, 0xff] {
                var changed = bytes
                changed[position] = octet
                _ = try? LoadedManifests.load(text: String(decoding: changed, as: UTF8.self), name: "changed.yaml")
            }
        }
    }

    @Test func `objects are handed over before the next one is read`() {
        // The second item is broken; the first has arrived all the same.
        let source = SourceBuffer(
            name: "list.yaml", text: "kind: List\napiVersion: v1\nitems:\n- {kind: A}\n- {kind: B\n")
        var reader = ManifestReader(source, limits: ManifestLimits())
        var kinds: [String] = []
        #expect(throws: ManifestError.self) {
            try reader.forEachObject { (object, _) in
                kinds.append(object["kind"]?.text ?? "")
                return true
            }
        }
        #expect(kinds == ["A"])
    }
}
