// What is said about text that is no YAML: the line to change, and how.

import Kubernetes
import Testing

@testable import Manifests

@Suite struct YAMLSyntaxTests {
    struct Case: CustomTestStringConvertible {
        var text: String
        var error: String
        var testDescription: String { error }

        init(_ text: String, _ error: String) { (self.text, self.error) = (text, error) }
    }

    static let cases: [Case] = [
        Case(
            "metadata:\n\tname: web\n",
            """
            test.yaml:2:1: a tab is used for indentation
              hint: indent with spaces; YAML takes no tabs there
            """),
        Case(
            "metadata:\n  name: web\n\tnamespace: x\n",
            """
            test.yaml:3:1: a tab is used for indentation
              hint: indent with spaces; YAML takes no tabs there
            """),
        Case(
            "apiVersion: v1\nkind Pod\nmetadata:\n  name: web\n",
            """
            test.yaml:2:1: a colon is missing after the field name
              hint: write `key: value`
            """),
        Case(
            "metadata:\n  name web\n  labels: {}\n",
            """
            test.yaml:2:3: a colon is missing after the field name
              hint: write `key: value`
            """),
        Case(
            "apiVersion:v1\nkind: Pod\n",
            """
            test.yaml:1:1: a space is missing after the colon
              hint: write `key: value`
            """),
        Case(
            "spec:\n  ports:\n  - port: 80\n     name: http\n",
            """
            test.yaml:4:6: the line is indented deeper than line 3, whose value is complete
              hint: align it with the fields it belongs to
            """),
        Case(
            "spec:\n    type: NodePort\n  ports: []\n",
            """
            test.yaml:3:3: a field of the block that begins at 1:1 is expected here
              hint: align the line with that block, or indent it as part of the value above
            """),
        Case(
            "- kind: Pod\nkind: List\n",
            """
            test.yaml:2:1: a list item (`- `) of the block that begins at 1:1 is expected here
              hint: align the line with that block, or indent it as part of the value above
            """),
        Case(
            "command: sh: -c\n",
            """
            test.yaml:1:12: a second `: ` on the line
              hint: write the value between quotes, or begin a new line for the next field
            """),
        Case(
            "ports: - port: 80\n",
            """
            test.yaml:1:8: a list item cannot begin here
              hint: begin each item on a line of its own, below the name of the list
            """),
        Case(
            "name: \"web\nkind: Pod\n",
            """
            test.yaml:1:7: the quote opened here is never closed
              hint: add the closing quote; a quote inside is written '' between ' and \\" between "
            """),
        Case(
            "name: 'it's'\n",
            """
            test.yaml:1:11: unexpected text after the value
              hint: write the whole value between quotes; a quote inside is written '' between ' and \\" between "
            """),
        Case(
            "args: [a, b\nname: web\n",
            """
            test.yaml:2:5: `,` or `]` expected: the list opened at 1:7 goes on
              hint: add the missing comma or close the list with ]
            """),
        Case(
            "{\"kind\": \"Pod\" \"apiVersion\": \"v1\"}",
            """
            test.yaml:1:16: `,` or `}` expected: the mapping opened at 1:1 goes on
              hint: add the missing comma or close the mapping with }
            """),
        Case(
            "{\"items\": [1, 2\n",
            """
            test.yaml:2:1: `,` or `]` expected: the list opened at 1:11 goes on
              hint: the file ends too early
            """),
        Case(
            "user: @me\n",
            """
            test.yaml:1:7: a value cannot begin with "@" outside quotes
              hint: write the value between quotes
            """),
        Case(
            "path: \"C:\\dir\"\n",
            """
            test.yaml:1:10: unknown escape after \\ in double quotes
              hint: write \\\\ for a backslash, or use single quotes
            """),
        Case(
            "glob: *\n",
            """
            test.yaml:1:7: a value that begins with * or & needs quotes
              hint: write it between quotes; * and & mark aliases and anchors
            """),
        Case(
            "name: !a!b x\n",
            """
            test.yaml:1:7: a value that begins with ! needs quotes
              hint: write it between quotes
            """),
        Case(
            "metadata:\n  name: {{ .Values.name }}\n",
            """
            test.yaml:2:10: this is a template, not YAML: {{ ... }}
              hint: render it first, for example: helm template CHART | podnet ... -f -
            """),
        Case(
            "{{- if .Values.enabled }}\nkind: Pod\n{{- end }}\n",
            """
            test.yaml:1:2: this is a template, not YAML: {{ ... }}
              hint: render it first, for example: helm template CHART | podnet ... -f -
            """),
        Case(
            "kind: Pod\n<<<<<<< HEAD\nname: a\n=======\nname: b\n>>>>>>> main\n",
            """
            test.yaml:2:1: a merge conflict is left in the file
              hint: resolve it and remove the marker lines
            """),
        Case(
            "name: a\u{1}b\n",
            """
            test.yaml:1:8: control character U+0001 in the text
              hint: remove it, or write it as an escape inside double quotes
            """),
        Case(
            "\u{7f}ELF\u{0}\u{0}",
            """
            test.yaml:1:1: control character U+007F in the text
              hint: remove it, or write it as an escape inside double quotes
            """),
    ]

    @Test(arguments: cases)
    func `a syntax error names the line to change and what to do`(_ row: Case) {
        #expect(errorText(row.text) == row.error)
    }

    @Test func `text that is not UTF-8 is refused where it begins`() throws {
        var bytes = Array("kind: Pod\nmetadata: {name: caf".utf8)
        bytes += [0xe9, 0x7d, 0x0a]
        let source = SourceBuffer(name: "latin.yaml", bytes: bytes)
        var reader = ManifestReader(source, limits: ManifestLimits())
        let error = #expect(throws: ManifestError.self) { try reader.forEachObject { (_, _) in true } }
        #expect(error?.line == 2)
        #expect(error?.message.hasPrefix("the text is not valid UTF-8") == true)
    }

    @Test func `a byte order mark and carriage returns change nothing`() throws {
        let text = pod(spec: "  containers:\n  - name: web\n")
        let plain = try load(text).objects
        #expect(plain.pods.count == 1)
        #expect(try load("\u{feff}" + text).objects == plain)
        #expect(try load(text.split(separator: "\n").joined(separator: "\r\n")).objects == plain)
        let broken = text.split(separator: "\n").joined(separator: "\r\n") + "\r\n\tnodeName: x\r\n"
        #expect(errorText(broken).hasPrefix("test.yaml:8:1: a tab is used for indentation\n"))
    }
}
