// What `podnet get -o yaml` and `-o json` print is real input: read again with -f it gives the same cluster.

import Foundation
import Kubernetes
import Manifests
import Rendering
import Simulation
import Testing

@Suite("Manifest round trip")
struct ManifestRoundTripTests {
    static let kinds =
        "ns,no,po,svc,endpointslices,deploy,rs,rc,sts,ds,jobs,cronjobs,cm,networkpolicies,hosts,underlays,faults,scenarios"

    static let topologies = [
        "clusterip-local", "clusterip-remote", "cross-node", "external-policy-local", "hairpin", "host-gw", "host-port",
        "multi-port",
        "no-endpoints", "nodeport-local", "nodeport-remote", "outside", "same-node", "udp-echo",
    ]

    @Test(arguments: topologies) func `a topology survives`(name: String) throws {
        try expectRoundTrip(testFile("../../topologies/\(name).yaml"))
    }

    @Test func `every field podnet keeps survives`() throws { try expectRoundTrip(testFile("Data/everything.yaml")) }

    private func expectRoundTrip(_ manifest: String) throws {
        let first = try cluster(manifest)
        for format in [ObjectListing.Format.yaml, .json] {
            let text = try answer(Self.kinds, in: first, namespace: nil, format: format).output
            let loaded = try LoadedManifests.load(text: text, name: "again.\(format)")
            #expect(loaded.warnings.map(\.description) == [])
            // Another seed: nothing may be left to chance.
            let second = try Cluster(realising: loaded.objects, seed: 99)
            expectEqual(first.objects, second.objects)
            #expect(try answer(Self.kinds, in: second, namespace: nil, format: format).output == text)
        }
    }

    private func expectEqual(_ first: ObjectStore, _ second: ObjectStore) {
        func compare<Object>(_ path: KeyPath<ObjectStore, ObjectTable<Object>>) {
            func objects(_ store: ObjectStore) -> [Object] {
                store[keyPath: path].map { object in
                    var object = object
                    object.metadata.origin = nil
                    return object
                }.sorted { $0.key < $1.key }
            }
            #expect(objects(first) == objects(second))
        }
        compare(\.namespaces)
        compare(\.nodes)
        compare(\.pods)
        compare(\.deployments)
        compare(\.replicaSets)
        compare(\.replicationControllers)
        compare(\.statefulSets)
        compare(\.daemonSets)
        compare(\.jobs)
        compare(\.cronJobs)
        compare(\.services)
        compare(\.endpointSlices)
        compare(\.configMaps)
        compare(\.networkPolicies)
        compare(\.hosts)
        compare(\.faults)
        compare(\.scenarios)
        var underlays = (first.underlay, second.underlay)
        underlays.0?.metadata.origin = nil
        underlays.1?.metadata.origin = nil
        #expect(underlays.0 == underlays.1)
    }

    @Test func `Endpoints are those the endpoints controller would make`() throws {
        let text = try answer(
            "ep web", in: cluster(testFile("../../topologies/clusterip-remote.yaml")), format: .yaml
        ).output
        #expect(text.hasPrefix("apiVersion: v1\nkind: Endpoints\nmetadata:\n"))
        #expect(text.contains("subsets:\n- addresses:\n  - ip: 10.244.2.2\n    nodeName: worker-2\n    targetRef:\n"))
        let endpoints = try LoadedManifests.load(text: text, name: "endpoints.yaml").objects.endpoints
        #expect(endpoints.first?.subsets.first?.ports.first?.port == 8080)
    }

    @Test func `a manifest has sorted names, quoted words and lists as deep as their name`() throws {
        let cluster = try cluster(
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web, annotations: {example.com/on: "yes", a: "1"}, uid: u}
            spec: {clusterIP: 10.96.0.7, selector: {app: web}, ports: [{name: http, port: 80, targetPort: web}]}
            """)
        #expect(
            try answer("svc web", in: cluster, format: .yaml).output == """
                apiVersion: v1
                kind: Service
                metadata:
                  annotations:
                    a: "1"
                    example.com/on: "yes"
                  name: web
                  namespace: default
                  uid: u
                spec:
                  clusterIP: 10.96.0.7
                  clusterIPs:
                  - 10.96.0.7
                  internalTrafficPolicy: Cluster
                  ipFamilies:
                  - IPv4
                  ipFamilyPolicy: SingleStack
                  ports:
                  - name: http
                    port: 80
                    protocol: TCP
                    targetPort: web
                  selector:
                    app: web
                  sessionAffinity: None
                  type: ClusterIP
                status:
                  loadBalancer: {}

                """)
        #expect(
            try answer("svc web", in: cluster, format: .json).output.hasPrefix(
                """
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {
                        "annotations": {
                            "a": "1",
                """))
    }

    static let texts = [
        "", " ", "a", "a b", " a", "a ", "true", "Yes", "n", "null", "~", "1", "-1", "+1", "1.0", ".5", "5.", "1e3",
        "0x1f",
        "0o17", "017", "0b1", "1_000", "1:30", ".inf", "-.INF", ".nan", "2026-01-01", "2026-01-01T00:00:00Z",
        "10.244.0.0/16",
        "1.2.3.4", "fd00::1", "a: b", "a:", ":a", "a #b", "#a", "- a", "-a", "--a", "-", "?", "? a", "[a]", "{a}", "&a",
        "*a",
        "!a", "|", ">", "%a", "@a", "`a`", "'a'", "it's", "\"a\"", "a\\b", "a\nb", "a\n", "a\nb\n", "a\n\n", "\n",
        "\na", " a\nb",
        "a \nb", "a\n  b\n", "a\tb", "\ta", "a\t\nb", "a\r\nb", "\u{7}", "\u{85}", "\u{2028}", "\u{feff}",
        "ünïcödé 😀",
        "{\"a\": [1]}\n",
        "=", "<<", "---", "...", "--- a", "a,b", "key: |\n  text\n",
    ]

    @Test(arguments: texts) func `a text reads back as the same text`(text: String) throws {
        var store = ObjectStore()
        store.configMaps.insert(
            ConfigMap(metadata: ObjectMeta(name: "texts"), data: ["text": text, "next": "here"]))
        let cluster = try Cluster(realising: store)
        for format in [ObjectListing.Format.yaml, .json] {
            let output = try answer("cm texts", in: cluster, format: format).output
            let again = try LoadedManifests.load(text: output, name: "again").objects
            #expect(again.configMaps.first?.data == ["text": text, "next": "here"], "\(output)")
        }
    }
}
