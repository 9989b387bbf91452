// The two ends of a flow as people name them: `client`, `deploy/web`, `svc/shop/frontend:http`, `node/worker-1:30080`,
// `10.96.0.10:53`, `http://web.shop/`. Here are the spellings; FlowEnds looks the names up.

public import Addressing

/// Where a flow starts.
public enum FlowSource: Hashable, Sendable, CustomStringConvertible {
    case pod(ObjectKey)
    case node(String)
    case host(String)

    public var description: String {
        switch self {
        case .pod(let key): "pod/\(key)"
        case .node(let name): "node/\(name)"
        case .host(let name): "host/\(name)"
        }
    }
}

/// What a destination was before it became an address.
public enum FlowTarget: Hashable, Sendable {
    case pod(ObjectKey)
    case service(ObjectKey)
    case node(String)
    case host(String)
    case address
}

/// Where a flow goes.
public struct FlowDestination: Hashable, Sendable {
    public var address: IPAddress
    /// Nil for ICMP.
    public var port: UInt16?
    /// The destination in full, for example `svc/shop/frontend:80`.
    public var described: String
    public var target: FlowTarget
    /// Why the address is the one it is, where that is not obvious; empty otherwise.
    public var note: String = ""
    /// The name and the path an HTTP client would ask for, when a URL or a DNS name was given.
    public var hostName: String = ""
    public var path: String = ""
    public init(
        address: IPAddress, port: UInt16? = nil, described: String, target: FlowTarget, note: String = "",
        hostName: String = "", path: String = ""
    ) {
        self.address = address
        self.port = port
        self.described = described
        self.target = target
        self.note = note
        self.hostName = hostName
        self.path = path
    }
}

/// A spelling that names nothing, with what to do about it.
public struct FlowEndError: Error, Hashable, Sendable, CustomStringConvertible {
    public var text: String
    public var message: String
    public var hint: String = ""
    public init(text: String, message: String, hint: String = "") {
        self.text = text
        self.message = message
        self.hint = hint
    }

    public var description: String { hint.isEmpty ? message : "\(message) (\(hint))" }
}

/// The kinds that can stand before a slash.
enum FlowEndKind: String, CaseIterable {
    case pod, deployment, daemonSet, statefulSet, replicaSet, replicationController, job, service, node, host

    /// Reads kubectl's names: full, plural and short, in either case.
    init?(_ text: some StringProtocol) {
        switch text.lowercased() {
        case "pod", "pods", "po": self = .pod
        case "deployment", "deployments", "deploy": self = .deployment
        case "daemonset", "daemonsets", "ds": self = .daemonSet
        case "statefulset", "statefulsets", "sts": self = .statefulSet
        case "replicaset", "replicasets", "rs": self = .replicaSet
        case "replicationcontroller", "replicationcontrollers", "rc": self = .replicationController
        case "job", "jobs": self = .job
        case "service", "services", "svc": self = .service
        case "node", "nodes", "no": self = .node
        case "host", "hosts": self = .host
        default: return nil
        }
    }

    /// The short form used in output.
    var short: String {
        switch self {
        case .pod: "pod"
        case .deployment: "deploy"
        case .daemonSet: "ds"
        case .statefulSet: "sts"
        case .replicaSet: "rs"
        case .replicationController: "rc"
        case .job: "job"
        case .service: "svc"
        case .node: "node"
        case .host: "host"
        }
    }

    var isNamespaced: Bool { self != .node && self != .host }
}

/// `KIND/NAMESPACE/NAME`, taken apart.
struct FlowEndName: Hashable {
    /// Nil for a bare word, which may be a pod or, as a destination, a DNS name.
    var kind: FlowEndKind?
    var key: ObjectKey

    /// Nil when there are too many parts, or one is empty, or a node is given a namespace.
    init?(_ text: some StringProtocol, namespace: String) {
        let parts = String(text).split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard !parts.contains("") else { return nil }
        switch parts.count {
        case 1:
            self.init(kind: nil, key: ObjectKey(namespace: namespace, name: parts[0]))
        case 2:
            if let kind = FlowEndKind(parts[0]) {
                self.init(
                    kind: kind, key: ObjectKey(namespace: kind.isNamespaced ? namespace : "", name: parts[1]))
            } else {
                self.init(kind: .pod, key: ObjectKey(namespace: parts[0], name: parts[1]))
            }
        case 3:
            guard let kind = FlowEndKind(parts[0]), kind.isNamespaced else { return nil }
            self.init(kind: kind, key: ObjectKey(namespace: parts[1], name: parts[2]))
        default:
            return nil
        }
    }

    init(kind: FlowEndKind?, key: ObjectKey) {
        self.kind = kind
        self.key = key
    }
}

/// A number or a name behind the colon.
enum FlowPort: Hashable {
    case number(UInt16)
    case name(String)

    init?(_ text: some StringProtocol) {
        if text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) {
            guard let number = UInt16(text), number > 0 else { return nil }
            self = .number(number)
        } else {
            self = .name(String(text))
        }
    }
}
