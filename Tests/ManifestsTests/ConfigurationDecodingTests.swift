// kubeadm, kube-proxy and flannel: as documents, inside ConfigMaps, and with places for errors inside the text.

import Addressing
import Kubernetes
import Testing

@testable import Manifests

@Suite struct ConfigurationDecodingTests {
    static let beta3 = """
        apiVersion: kubeadm.k8s.io/v1beta3
        kind: ClusterConfiguration
        kubernetesVersion: v1.27.0
        clusterName: lab
        controlPlaneEndpoint: 192.168.50.10:6443
        networking: {podSubnet: "10.244.0.0/16,fd00:244::/56", serviceSubnet: 10.96.0.0/12, dnsDomain: lab.local}
        apiServer:
          extraArgs: {service-node-port-range: 30000-30999}
        controllerManager:
          extraArgs: {node-cidr-mask-size-ipv4: "25", node-cidr-mask-size-ipv6: "72"}
        """

    static let beta4 = """
        apiVersion: kubeadm.k8s.io/v1beta4
        kind: ClusterConfiguration
        kubernetesVersion: v1.27.0
        clusterName: lab
        controlPlaneEndpoint: 192.168.50.10:6443
        networking:
          podSubnet: 10.244.0.0/16,fd00:244::/56
          serviceSubnet: 10.96.0.0/12
          dnsDomain: lab.local
        apiServer:
          extraArgs:
          - {name: service-node-port-range, value: 30000+999}
        controllerManager:
          extraArgs:
          - {name: node-cidr-mask-size-ipv4, value: "24"}
          - {name: node-cidr-mask-size-ipv6, value: "72"}
          - {name: node-cidr-mask-size-ipv4, value: "25"}
        """

    /// A ConfigMap with a text under a key, as a literal block.
    private func configMap(_ namespace: String, _ name: String, _ key: String, _ text: String) -> String {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + $0 }
        return """
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: \(name), namespace: \(namespace)}
            data:
              \(key): |
            \(lines.joined(separator: "\n"))
            """
    }

    @Test func `kubeadm's configuration in both versions, as a document and in its ConfigMap`() throws {
        let expected = ClusterConfiguration(
            podSubnets: [IPPrefix("10.244.0.0/16"), IPPrefix("fd00:244::/56")].compactMap { $0 },
            serviceSubnets: [IPPrefix("10.96.0.0/12")].compactMap { $0 }, dnsDomain: "lab.local",
            nodeCIDRMaskSizeIPv4: 25, nodeCIDRMaskSizeIPv6: 72, serviceNodePortRange: 30000...30999,
            controlPlaneEndpoint: "192.168.50.10:6443", kubernetesVersion: "v1.27.0", clusterName: "lab",
            origin: ObjectOrigin(source: 0, item: 0))
        for text in [Self.beta3, Self.beta4] {
            #expect(try load(text).objects.clusterConfiguration == expected)
            let map = configMap("kube-system", "kubeadm-config", "ClusterConfiguration", text)
            #expect(try load(map).objects.clusterConfiguration == expected)
            #expect(try load(map).objects.configMaps.count == 1)
        }
        let bare = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking: {podSubnet: ''}\n"
        #expect(try load(bare).objects.clusterConfiguration == ClusterConfiguration(origin: expected.origin))
    }

    @Test func `arguments of the components win over what kubeadm derives`() throws {
        let text = """
            apiVersion: kubeadm.k8s.io/v1beta3
            kind: ClusterConfiguration
            networking: {serviceSubnet: 10.96.0.0/12}
            apiServer: {extraArgs: {service-cluster-ip-range: 10.32.0.0/24}}
            controllerManager: {extraArgs: {cluster-cidr: "fd00:1::/56", node-cidr-mask-size: "66"}}
            """
        let configuration = try #require(try load(text).objects.clusterConfiguration)
        #expect(configuration.serviceSubnets.map(\.description) == ["10.32.0.0/24"])
        #expect(configuration.podSubnets.map(\.description) == ["fd00:1::/56"])
        #expect(configuration.nodeCIDRMaskSizeIPv6 == 66 && configuration.nodeCIDRMaskSizeIPv4 == 24)
    }

    @Test func `kube-proxy's configuration, empty and zero meaning default`() throws {
        let kubeadm = """
            apiVersion: kubeproxy.config.k8s.io/v1alpha1
            bindAddress: 0.0.0.0
            bindAddressHardFail: false
            clientConnection: {acceptContentTypes: "", burst: 0, kubeconfig: /var/lib/kube-proxy/conf, qps: 0}
            clusterCIDR: 10.244.0.0/16
            configSyncPeriod: 0s
            conntrack: {maxPerCore: null, min: null, tcpBeLiberal: false, tcpCloseWaitTimeout: null, udpTimeout: 0s}
            detectLocal: {bridgeInterface: "", interfaceNamePrefix: ""}
            detectLocalMode: ""
            healthzBindAddress: ""
            iptables: {localhostNodePorts: null, masqueradeAll: false, masqueradeBit: null,
              minSyncPeriod: 0s, syncPeriod: 0s}
            ipvs: {excludeCIDRs: null, minSyncPeriod: 0s,
              scheduler: "", strictARP: false, syncPeriod: 0s, tcpTimeout: 0s}
            kind: KubeProxyConfiguration
            metricsBindAddress: ""
            mode: ""
            nftables: {masqueradeAll: false, masqueradeBit: null, minSyncPeriod: 0s, syncPeriod: 0s}
            nodePortAddresses: null
            """
        let expected = KubeProxyConfiguration(
            clusterCIDRs: [ClusterConfiguration.defaultPodSubnet], origin: ObjectOrigin(source: 0, item: 0))
        #expect(try load(kubeadm).objects.kubeProxyConfiguration == expected)
        let map = configMap("kube-system", "kube-proxy", "config.conf", kubeadm)
        #expect(try load(map).objects.kubeProxyConfiguration == expected)
    }

    @Test func `kube-proxy's configuration, every field given`() throws {
        let text = """
            apiVersion: kubeproxy.config.k8s.io/v1alpha1
            kind: KubeProxyConfiguration
            mode: nftables
            clusterCIDR: 10.42.0.0/16,fd00:42::/56
            detectLocalMode: InterfaceNamePrefix
            detectLocal: {bridgeInterface: cni0, interfaceNamePrefix: veth}
            nodePortAddresses: [primary]
            iptables: {localhostNodePorts: false, masqueradeAll: true, masqueradeBit: 10,
              minSyncPeriod: 2s, syncPeriod: 1m}
            nftables: {masqueradeAll: true, masqueradeBit: 11, minSyncPeriod: 3s, syncPeriod: 1h30m}
            ipvs: {excludeCIDRs: [10.0.0.0/8], scheduler: wrr, strictARP: true, minSyncPeriod: 4s, syncPeriod: 5s,
              tcpTimeout: 1s, tcpFinTimeout: 2s, udpTimeout: 3s}
            conntrack: {maxPerCore: 0, min: 1, tcpBeLiberal: true, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 1h,
              udpTimeout: 1s, udpStreamTimeout: 2s}
            bindAddress: "::"
            healthzBindAddress: 127.0.0.1:1
            metricsBindAddress: 127.0.0.1:2
            hostnameOverride: worker
            configSyncPeriod: 1m
            featureGates: {A: true, B: false}
            """
        let second: Int64 = 1_000_000_000
        #expect(
            try load(text).objects.kubeProxyConfiguration
                == KubeProxyConfiguration(
                    mode: .nftables,
                    clusterCIDRs: [IPPrefix("10.42.0.0/16"), IPPrefix("fd00:42::/56")].compactMap { $0 },
                    detectLocalMode: .interfaceNamePrefix, bridgeInterface: "cni0", interfaceNamePrefix: "veth",
                    nodePortAddresses: ["primary"],
                    iptables: .init(
                        masqueradeBit: 10, masqueradeAll: true, localhostNodePorts: false, syncPeriod: 60 * second,
                        minSyncPeriod: 2 * second),
                    nftables: .init(
                        masqueradeBit: 11, masqueradeAll: true, syncPeriod: 5400 * second, minSyncPeriod: 3 * second),
                    ipvs: .init(
                        scheduler: "wrr", strictARP: true, excludeCIDRs: ["10.0.0.0/8"], syncPeriod: 5 * second,
                        minSyncPeriod: 4 * second, tcpTimeout: second, tcpFinTimeout: 2 * second, udpTimeout: 3 * second
                    ),
                    conntrack: .init(
                        maxPerCore: 0, min: 1, tcpEstablishedTimeout: 0, tcpCloseWaitTimeout: 3600 * second,
                        tcpBeLiberal: true,
                        udpTimeout: second, udpStreamTimeout: 2 * second),
                    bindAddress: "::", healthzBindAddress: "127.0.0.1:1", metricsBindAddress: "127.0.0.1:2",
                    hostnameOverride: "worker", configSyncPeriod: 60 * second, featureGates: ["A": true, "B": false],
                    origin: ObjectOrigin(source: 0, item: 0)))
    }

    static let flannel = """
        kind: ConfigMap
        apiVersion: v1
        metadata: {name: kube-flannel-cfg, namespace: kube-flannel}
        data:
          cni-conf.json: |
            {
              "name": "cbr0",
              "cniVersion": "0.3.1",
              "plugins": [
                {"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}},
                {"type": "portmap", "capabilities": {"portMappings": true}}
              ]
            }
          net-conf.json: |
            {
              "Network": "10.244.0.0/16",
              "EnableNFTables": false,
              "Backend": {
                "Type": "vxlan"
              }
            }
        """

    @Test func `flannel's published configuration is the default one`() throws {
        #expect(
            try load(Self.flannel).objects.flannelConfiguration
                == FlannelConfiguration(
                    network: IPPrefix("10.244.0.0/16"), origin: ObjectOrigin(source: 0, item: 0)))
    }

    @Test func `flannel's fields in any case, and what a file leaves out`() throws {
        let text = """
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: kube-flannel-cfg, namespace: kube-system}
            data:
              cni-conf.json: '{"name": "old", "type": "flannel",
                "delegate": {"bridge": "br0", "mtu": 1400, "ipMasq": true}}'
              net-conf.json: '{"network": "10.244.0.0/16", "ENABLEIPV6": true, "ipv6network": "fd00:244::/56",
                "backend": {"type": "host-gw", "vni": 7, "PORT": 4789, "Mtu": 1450, "directrouting": true,
                "learning": true, "gbp": true}}'
            """
        #expect(
            try load(text).objects.flannelConfiguration
                == FlannelConfiguration(
                    network: IPPrefix("10.244.0.0/16"), ipv6Network: IPPrefix("fd00:244::/56"), enableIPv6: true,
                    backend: FlannelBackend(
                        type: .hostGateway, vni: 7, port: 4789, mtu: 1450, directRouting: true, learning: true,
                        gbp: true),
                    cniName: "old",
                    delegate: FlannelDelegate(
                        bridge: "br0", hairpinMode: false, isDefaultGateway: false, ipMasq: true, mtu: 1400),
                    hasPortmap: false, origin: ObjectOrigin(source: 0, item: 0)))
        let noBackend = configMap("x", "kube-flannel-cfg", "net-conf.json", #"{"Network": "10.244.0.0/16"}"#)
        #expect(try load(noBackend).objects.flannelConfiguration?.backend.type == .udp)
    }

    @Test func `the bridge plugin refuses hairpin mode and promiscuous mode together`() throws {
        let text = Self.flannel.replacing(
            #""hairpinMode": true"#, with: #""hairpinMode": true, "promiscMode": true"#)
        let error = #expect(throws: ManifestError.self) { try load(text) }
        #expect(error?.description.contains("hairpin mode and promiscuous mode at the same time") == true)
    }

    @Test func `flanneld's command line decides about masquerading`() throws {
        func daemonSet(_ arguments: String) -> String {
            """
            \(Self.flannel)
            ---
            apiVersion: apps/v1
            kind: DaemonSet
            metadata: {name: kube-flannel-ds, namespace: kube-flannel}
            spec:
              template: {spec: {containers: [{name: f, command: [/opt/bin/flanneld], args: [\(arguments)]}]}}
            """
        }
        #expect(try load(daemonSet("--ip-masq, --kube-subnet-mgr")).objects.flannelConfiguration?.ipMasq == true)
        #expect(try load(daemonSet("--kube-subnet-mgr")).objects.flannelConfiguration?.ipMasq == false)
    }

    @Test func `errors inside a literal text name the line of the file`() {
        let rows: [(String, String)] = [
            (
                Self.flannel.replacing("\"vxlan\"", with: "7"),
                """
                test.yaml:19:17: data[net-conf.json].Backend.Type: expected a string, found a number (7)
                  hint: put it in quotes: "7"
                """
            ),
            (
                Self.flannel.replacing("16\",", with: "16\""),
                """
                test.yaml:17:7: data[net-conf.json]: `,` or `}` expected: the mapping opened at 15:5 goes on
                  hint: add the missing comma or close the mapping with }
                """
            ),
            (
                Self.flannel.replacing("\"type\": \"flannel\"", with: "\"type\": \"calico\""),
                """
                test.yaml:6:5: data[cni-conf.json]: no plugin of type flannel (found: calico, portmap)
                  hint: podnet models flannel's CNI plugin, which delegates to bridge
                """
            ),
            (
                configMap("kube-system", "kube-proxy", "config.conf", "mode: ipfw\n"),
                """
                test.yaml:6:11: data[config.conf].mode: "ipfw" is not a mode podnet knows
                  hint: write it as iptables, nftables or ipvs
                """
            ),
            (
                configMap("kube-system", "kube-proxy", "config.conf", "ipvs:\n  scheduler: best\n"),
                """
                test.yaml:7:18: data[config.conf].ipvs.scheduler: "best" is not a scheduler of IPVS
                  hint: write it as rr, wrr, lc, wlc, fo, ovf, lblc, lblcr, dh, sh, sed, nq, mh, twos
                """
            ),
            (
                configMap("kube-system", "kube-proxy", "config.conf", "nodePortAddresses: [primary, 10.0.0.0/8]\n"),
                """
                test.yaml:6:25: data[config.conf].nodePortAddresses[0]: "primary" is not a CIDR
                  hint: write it as 192.168.0.0/16, or the one entry primary
                """
            ),
            (
                configMap("kube-system", "kube-proxy", "config.conf", "ipvs:\n  excludeCIDRs: [10.0.0.0]\n"),
                """
                test.yaml:7:22: data[config.conf].ipvs.excludeCIDRs[0]: "10.0.0.0" is not a CIDR
                  hint: write it as 10.0.0.0/8
                """
            ),
            (
                configMap(
                    "kube-system", "kubeadm-config", "ClusterConfiguration", "networking:\n  podSubnet: 10.244.0\n"),
                """
                test.yaml:7:18: data.ClusterConfiguration.networking.podSubnet: "10.244.0" is not a CIDR
                  hint: write it as 10.244.0.0/16, or 10.244.0.0/16,fd00:244::/56
                """
            ),
        ]
        for (text, error) in rows { #expect(errorText(text) == error) }
    }

    @Test func `errors inside a quoted text name the field and the line of the text`() {
        func quotedMap(_ json: String) -> String {
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kube-flannel-cfg}\ndata: {net-conf.json: \"\(json)\"}\n"
        }
        #expect(
            errorText(quotedMap("{\\n  \\\"Network\\\": 5}")) == """
                test.yaml:4:23: data[net-conf.json].Network: expected a string, found a number (5)
                  hint: put it in quotes: "5"
                """)
        #expect(
            errorText(quotedMap("{\\n  \\\"Network\\\" 5}")).hasPrefix(
                "test.yaml:4:23: data[net-conf.json]: line 2 of the text: "))
        #expect(errorText(quotedMap("")).hasPrefix("test.yaml:4:23: data[net-conf.json]: must not be empty"))
    }

    @Test func `a configuration that stands twice is refused`() {
        let text =
            Self.beta3 + "\n---\n" + configMap("kube-system", "kubeadm-config", "ClusterConfiguration", Self.beta4)
        #expect(
            errorText(text) == """
                test.yaml:12:1: a second ClusterConfiguration; the first is at test.yaml:1:1
                  hint: keep one of the two
                """)
    }
}
