// The library example of the README: it is the source of this target, and what it returns is what podnet prints.

import Foundation
import Testing

@Suite struct LibraryTests {
    @Test func `the README's example is the one that is compiled here`() throws {
        let source = try Page("Tests/DocumentationTests/LibraryExample.swift")
        let example = source.lines.drop { $0.hasPrefix("//") }.drop { $0.isEmpty }
        let shown = try Page("README.md").blocks.filter { $0.language == "swift" }.map(\.lines)
        #expect(shown == [example.dropLast()].map { Array($0) }, "README.md and LibraryExample.swift differ")
    }

    @Test func `the README's example says what podnet trace says`() throws {
        let text = try explain(Page.root.appending(path: "topologies/clusterip-remote.yaml").path)
        let printed = try Terminal().show("podnet trace client svc/web:80 -f topologies/clusterip-remote.yaml")
        #expect(text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init) == printed)
    }
}
