// The types of plain scalars, as goyaml.v2 resolves them.

import Kubernetes
import Testing

@testable import Manifests

@Suite struct ScalarValueTests {
    @Test func `plain scalars have the type Kubernetes gives them`() {
        let table: [(String, ScalarValue)] = [
            ("", .null), ("~", .null), ("null", .null), ("Null", .null), ("NULL", .null), ("nULL", .string),
            ("true", .boolean(true)), ("True", .boolean(true)), ("yes", .boolean(true)), ("Y", .boolean(true)),
            ("on", .boolean(true)), ("ON", .boolean(true)), ("no", .boolean(false)), ("n", .boolean(false)),
            ("Off", .boolean(false)), ("FALSE", .boolean(false)), ("yEs", .string), ("nope", .string),
            ("0", .integer(0)), ("80", .integer(80)), ("-7", .integer(-7)), ("+7", .integer(7)),
            ("0x1F", .integer(31)), ("010", .integer(8)), ("0o17", .integer(15)), ("0b101", .integer(5)),
            ("1_000", .integer(1000)), ("9223372036854775807", .integer(.max)), ("08", .float(8)),
            ("9223372036854775808", .float(9_223_372_036_854_775_808)), ("1.0", .float(1)), (".5", .float(0.5)),
            ("1.", .float(1)), ("1e3", .float(1000)), ("-1.5E-2", .float(-0.015)), (".inf", .float(.infinity)),
            ("-.INF", .float(-.infinity)), ("1:30", .string), ("10.96.0.10", .string), ("1.2.3", .string),
            ("100m", .string), ("64Mi", .string), ("2024-01-01", .string), ("2024-01-01T00:00:00Z", .string),
            ("-", .string), ("+", .string), (".", .string), ("0x", .string), ("0x-1", .string), ("1e", .string),
            ("--1", .string), ("e5", .string), ("web", .string),
        ]
        for (text, value) in table {
            #expect(ScalarValue(plain: Array(text.utf8)[...]) == value, "\(text)")
        }
    }

    @Test func `quotes and the str tag make a string of anything`() throws {
        for value in ["\"80\"", "'yes'", "!!str 80", "\"\""] {
            let objects = try load(pod(metadata: "  labels: {version: \(value)}")).objects
            #expect(objects.pods[0].metadata.labels["version"] != nil, "\(value)")
        }
    }
}
