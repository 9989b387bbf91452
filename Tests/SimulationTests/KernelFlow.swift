// A recorded flow: what was asked, the frames on each interface, and the same flow here.

import Addressing
import Kubernetes
import Manifests
import Netstack
import Testing

@testable import Simulation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file of KernelFlows: what was asked, and the frames on each interface.
struct KernelFlow {
    enum Step {
        case ask(transport: IPProtocol, SocketAddress, Options)
        case wait(Nanoseconds)
    }

    /// What a line says behind the destination.
    struct Options {
        var timeToLive: UInt8?
        var octets: Int?
        var gets: Int?
        var times = 1
        var interval: Nanoseconds = 0
        var timeout: Nanoseconds?
        var keepsAlive = false
    }

    var cluster = ""
    /// Of the pair's link.
    var mtu = 1500
    /// What a node's iptables drops on arrival, by node.
    var losses: [String: String] = [:]
    var settings: [String] = []
    var source = NamespaceOwner.host("")
    var steps: [Step] = []
    /// Later frames are not compared.
    var end: Nanoseconds = 0
    var frames: [String: [String]] = [:]

    struct BadLine: Error { var line: String }

    init(parsing text: String) throws {
        var place = ""
        for line in text.split(separator: "\n").map(String.init) {
            if line.hasPrefix("#") { continue }
            if line.hasPrefix("  ") {
                frames[place, default: []].append(String(line.dropFirst(2)))
                continue
            }
            let words = line.split(separator: " ").map(String.init)
            switch (words[0], words.count) {
            case ("cluster", 2): cluster = words[1]
            case ("mtu", 2): mtu = try Int(words[1]) ?? { throw BadLine(line: line) }()
            case ("lose", 3...):
                losses[words[1]] = "-A INPUT -p tcp \(words.dropFirst(2).joined(separator: " ")) -j DROP"
            case ("set", 3): settings.append("podnet.dev/sysctl.\(words[1]): \"\(words[2])\"")
            case ("from", 2): source = try Self.owner(words[1])
            case ("ask", 3...): steps.append(try Self.ask(words))
            case ("wait", 3): steps.append(.wait(try Self.milliseconds(words[1])))
            case ("until", 3): end = try Self.milliseconds(words[1])
            case (_, 1): place = words[0]
            case (_, 3) where words[1] == "mirrors":
                frames[words[0]] =
                    try frames[words[2]].map { try $0.map(Self.mirrored) } ?? { throw BadLine(line: line) }()
            default: throw BadLine(line: line)
            }
        }
    }

    private static func milliseconds(_ text: String) throws -> Nanoseconds {
        guard let number = Nanoseconds(text) else { throw BadLine(line: text) }
        return number * 1_000_000
    }

    private static func owner(_ text: String) throws -> NamespaceOwner {
        let parts = text.split(separator: "/").map(String.init)
        switch (parts.first, parts.count) {
        case ("pod", 2): return .pod(ObjectKey(namespace: "default", name: parts[1]))
        case ("node", 2): return .node(parts[1])
        case ("host", 2): return .host(parts[1])
        default: throw BadLine(line: text)
        }
    }

    /// `ask tcp 10.96.0.10:80 ttl 2`, `ask udp 10.244.2.2:7 octets 3000`, `ask icmp 10.96.0.10`,
    /// `ask tcp 192.168.50.12:9100 gets 5120 times 2 every 500 ms`
    private static func ask(_ words: [String]) throws -> Step {
        let line = words.joined(separator: " ")
        let end = words[2].contains(":") ? words[2] : words[2] + ":0"
        guard let transport = IPProtocol(words[1]), let destination = SocketAddress(end) else {
            throw BadLine(line: line)
        }
        func option(_ name: String) -> Int? {
            words.firstIndex(of: name).flatMap { words.indices.contains($0 + 1) ? Int(words[$0 + 1]) : nil }
        }
        return .ask(
            transport: transport, destination,
            Options(
                timeToLive: option("ttl").map { UInt8($0) }, octets: option("octets"), gets: option("gets"),
                times: option("times") ?? 1, interval: Nanoseconds(option("every") ?? 0) * 1_000_000,
                timeout: option("patience").map { Nanoseconds($0) * 1_000_000 }, keepsAlive: words.contains("keepalive")
            ))
    }

    /// What one end of a pair sends the other receives.
    private static func mirrored(_ line: String) throws -> String {
        var words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard words.count == 3 else { throw BadLine(line: line) }
        // "in" has a blank more, so that columns stand under each other.
        if words[1] == "in" {
            words[1] = "out"
            words[2] = String(words[2].drop { $0 == " " })
        } else {
            words[1] = "in "
        }
        return words.joined(separator: " ")
    }

    // MARK: the same here

    /// Runs the flow; the frames on each interface.
    func run(seed: UInt64) throws -> [String: [String]] {
        var text = try kernelFlowText(cluster == "pair" ? "pair.yaml" : "cluster.yaml")
        if cluster == "pair" {
            text = text.replacing("MTU", with: "\(mtu)")
            text = text.replacing("# SETTINGS", with: settings.joined(separator: "\n    "))
        } else if cluster != "vxlan" {
            text += "---\n" + (try kernelFlowText("\(cluster).yaml"))
        }
        let loaded = try LoadedManifests.load(text: text, name: "cluster.yaml")
        var realised = try Cluster(realising: loaded.objects, seed: seed)
        if cluster == "pair" {
            for node in ["worker-1", "worker-2"] {
                let dump = "*filter\n:INPUT ACCEPT [0:0]\n\(losses[node] ?? "")\nCOMMIT\n"
                realised.use(try RulesDump(dump), on: node)
            }
        }
        var simulator = Simulator(realised, seed: seed)
        simulator.recordFrames()
        guard let id = simulator.namespaceID(of: source) else { throw BadLine(line: "from \(source)") }
        for step in steps {
            switch step {
            case .wait(let time): simulator.run(until: simulator.now + time)
            case .ask(let transport, let destination, let options):
                let patience = transport == .tcp ? FlowRequest.defaultTimeout : 2_000_000_000
                var request = FlowRequest(
                    from: id, to: destination.address, port: transport == .icmp ? nil : destination.port,
                    protocol: transport, timeout: options.timeout ?? patience)
                request.timeToLive = options.timeToLive
                if transport == .tcp {
                    request.requestOctets = options.octets
                    request.responseOctets = options.gets
                } else if let octets = options.octets {
                    request.payload = Array(repeating: 104, count: octets)
                }
                request.requests = options.times
                request.interval = options.interval
                request.sendsKeepalives = options.keepsAlive
                _ = simulator.run(request)
            }
        }
        simulator.run(until: max(end, simulator.now))
        let written = written(simulator)
        // The pair stood alone; here other machines hear its broadcasts.
        return cluster == "pair" ? written.filter { $0.key.hasPrefix("worker-") } : written
    }

    private func written(_ simulator: borrowing Simulator) -> [String: [String]] {
        var stations: [MACAddress: String] = [.broadcast: "broadcast", .zero: "none"]
        var places: [NamespaceID: [String]] = [:]
        for id in simulator.builtNamespaces {
            let owner = Self.name(simulator.owner(of: id))
            places[id] = simulator.built(id).links.map { link in
                var name = link.name
                if case .veth(let peer) = link.kind, name.hasPrefix("veth") {
                    name = "veth-" + Self.name(simulator.owner(of: peer.namespace))
                }
                if !link.isLoopback { stations[link.hardwareAddress] = name == "eth0" ? owner : "\(owner)/\(name)" }
                return "\(owner)/\(name)"
            }
        }
        let recording = simulator.context.recording
        var text = KernelFlowText(stations: stations)
        let compared = recording.frames.filter { $0.time < end }
        for frame in compared { text.learn(recording.octets[frame.offset..<frame.offset + frame.length]) }
        var lines: [String: [String]] = [:]
        for frame in compared {
            let place = places[frame.namespace]?[frame.link.index] ?? "?"
            let octets = recording.octets[frame.offset..<frame.offset + frame.length]
            let direction = frame.direction == .egress ? "out" : "in "
            lines[place, default: []].append(
                "\(frame.time / 1_000_000_000) \(direction) \(text.text(octets, at: place))")
        }
        return lines
    }

    private static func name(_ owner: NamespaceOwner) -> String {
        switch owner {
        case .node(let name), .host(let name): name
        case .pod(let key): key.name
        }
    }
}

/// The text of a file below `KernelFlows`.
func kernelFlowText(_ path: String) throws -> String {
    let directory = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    let name = "\(directory)/KernelFlows/\(path)"
    let file = try #require(fopen(name, "r"), "cannot open \(name)")
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = fread(&buffer, 1, buffer.count, file)
        if count == 0 { break }
        bytes += buffer[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
}
