// The worked answers of CoreDNS for A and AAAA over one set of objects, and the walk through a search list.

import Addressing
import Kubernetes
import Testing

@Suite struct ClusterDNSTests {
    private static func objects() throws(ObjectError) -> ObjectStore {
        try running {
            $0.pods.insert(
                pod("web-x", "shop", labels: ["app": "web"], on: "worker-1", ip: "10.244.1.9"))
            for (index, ip) in ["10.244.1.5", "10.244.2.6"].enumerated() {
                $0.pods.insert(
                    pod("db-\(index)", "shop", labels: ["app": "db"], on: "worker-\(index + 1)", ip: ip) {
                        $0.spec.hostname = "db-\(index)"
                        $0.spec.subdomain = "db"
                        $0.status.phase = .running
                        $0.status.conditions = [Condition(type: "Ready", status: index == 0 ? "True" : "False")]
                    })
            }
            $0.services.insert(
                service(
                    "web", "shop", app: "web",
                    ports: [
                        ServicePort(name: "http", port: 80, targetPort: .int(8080)),
                        ServicePort(name: "metrics", port: 9090),
                    ]
                ) { $0.spec.clusterIP = "10.96.7.7" })
            $0.services.insert(
                service("db", "shop", app: "db", ports: [ServicePort(name: "pg", port: 5432)]) {
                    $0.spec.clusterIP = "None"
                })
            $0.services.insert(
                service("dball", "shop", app: "db") {
                    $0.spec.clusterIP = "None"
                    $0.spec.publishNotReadyAddresses = true
                })
            $0.services.insert(service("idle", "shop", app: "nobody") { $0.spec.clusterIP = "10.96.8.8" })
            $0.services.insert(service("none", "shop", app: "nobody") { $0.spec.clusterIP = "None" })
            for (name, target) in [
                ("ext", "api.example.com"), ("lit", "192.0.2.1"), ("alias", "web.shop.svc.cluster.local"),
                ("loop", "loop.shop.svc.cluster.local"), ("machine", "client"),
            ] {
                $0.services.insert(
                    service(name, "shop", type: .externalName, ports: []) { $0.spec.externalName = target })
            }
        }
    }

    private static func text(_ answer: ClusterDNS.Answer) -> String {
        switch answer {
        case .addresses(let addresses, let canonical):
            addresses.map(\.description).joined(separator: " ") + (canonical.map { " via \($0)" } ?? "")
        case .unknownAlias(let name): "CNAME \(name)"
        case .noData: "NODATA"
        case .nameError: "NXDOMAIN"
        }
    }

    @Test(
        "CoreDNS's answers",
        arguments: [
            ("web.shop.svc.cluster.local", "10.96.7.7"), ("WEB.Shop.svc.cluster.local.", "10.96.7.7"),
            ("_http._tcp.web.shop.svc.cluster.local", "10.96.7.7"),
            ("http.tcp.web.shop.svc.cluster.local", "10.96.7.7"),
            ("_http._udp.web.shop.svc.cluster.local", "NXDOMAIN"), ("a.b.c.web.shop.svc.cluster.local", "NXDOMAIN"),
            ("10-244-1-9.web.shop.svc.cluster.local", "10.244.1.9"),
            ("10-244-1-8.web.shop.svc.cluster.local", "NXDOMAIN"), ("db.shop.svc.cluster.local", "10.244.1.5"),
            ("db-0.db.shop.svc.cluster.local", "10.244.1.5"), ("db-1.db.shop.svc.cluster.local", "NXDOMAIN"),
            ("_pg._tcp.db.shop.svc.cluster.local", "10.244.1.5"), ("_pg._udp.db.shop.svc.cluster.local", "NXDOMAIN"),
            ("dball.shop.svc.cluster.local", "10.244.1.5 10.244.2.6"), ("idle.shop.svc.cluster.local", "10.96.8.8"),
            ("none.shop.svc.cluster.local", "NXDOMAIN"), ("ext.shop.svc.cluster.local", "CNAME api.example.com"),
            ("lit.shop.svc.cluster.local", "NXDOMAIN"),
            ("alias.shop.svc.cluster.local", "10.96.7.7 via web.shop.svc.cluster.local"),
            ("loop.shop.svc.cluster.local", "NXDOMAIN"),
            ("machine.shop.svc.cluster.local", "192.168.50.100 via client"), ("shop.svc.cluster.local", "NODATA"),
            ("nope.svc.cluster.local", "NXDOMAIN"), ("web.nope.svc.cluster.local", "NXDOMAIN"),
            ("svc.cluster.local", "NODATA"), ("pod.cluster.local", "NODATA"), ("cluster.local", "NODATA"),
            ("other.cluster.local", "NXDOMAIN"), ("10-244-9-9.shop.pod.cluster.local", "10.244.9.9"),
            ("10-244-9-9.nope.pod.cluster.local", "NXDOMAIN"), ("web.shop.pod.cluster.local", "NXDOMAIN"),
            ("fd00--1.shop.pod.cluster.local", "NODATA"), ("www.example.com", "NXDOMAIN"), ("client", "192.168.50.100"),
        ])
    func answers(name: String, answer: String) throws {
        #expect(Self.text(ClusterDNS(try Self.objects()).query(name, .ipv4)) == answer)
    }

    @Test(
        "AAAA where there is only IPv4 is NODATA, not NXDOMAIN",
        arguments: [
            ("web.shop.svc.cluster.local", "NODATA"), ("db.shop.svc.cluster.local", "NODATA"),
            ("none.shop.svc.cluster.local", "NXDOMAIN"), ("fd00--1.shop.pod.cluster.local", "fd00::1"),
            ("client", "NODATA"),
        ])
    func ipv6(name: String, answer: String) throws {
        #expect(Self.text(ClusterDNS(try Self.objects()).query(name, .ipv6)) == answer)
    }

    @Test("short names walk the search list, a trailing dot or five dots do not")
    func search() throws {
        let dns = ClusterDNS(try Self.objects())
        let list = dns.searchList(namespace: "shop")
        #expect(list == ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"])
        #expect(dns.resolve("web", search: list)?.tried == ["web.shop.svc.cluster.local"])
        #expect(
            dns.resolve("web.shop", search: dns.searchList(namespace: "default"))?.tried == [
                "web.shop.default.svc.cluster.local", "web.shop.svc.cluster.local",
            ])
        #expect(dns.resolve("web.shop.svc.cluster.local", search: list)?.tried.count == 4)
        #expect(dns.resolve("web.shop.svc.cluster.local.", search: list)?.tried.count == 1)
        #expect(dns.resolve("_http._tcp.web.shop.svc.cluster.local", search: list)?.tried.count == 1)
        #expect(dns.resolve("web.", search: list) == nil)
        #expect(dns.resolve("nothing", search: list) == nil)
    }

    @Test("another cluster domain is another zone")
    func domain() throws {
        var store = try Self.objects()
        store.clusterConfiguration?.dnsDomain = "Lab.Internal"
        let dns = ClusterDNS(store)
        #expect(Self.text(dns.query("web.shop.svc.lab.internal", .ipv4)) == "10.96.7.7")
        #expect(Self.text(dns.query("web.shop.svc.cluster.local", .ipv4)) == "NXDOMAIN")
        #expect(dns.service(named: "web.shop.svc.lab.internal")?.metadata.name == "web")
    }
}
