// Objects podnet keeps without looking deep into them: ConfigMaps (flannel, kubeadm and kube-proxy keep their
// configuration in some) and NetworkPolicies (not enforced yet).

public struct ConfigMap: KubernetesObject {
    public static let kind = "ConfigMap"
    public var metadata: ObjectMeta
    public var data: [String: String] = [:]
    public init(metadata: ObjectMeta, data: [String: String] = [:]) {
        self.metadata = metadata
        self.data = data
    }
}

public struct NetworkPolicy: KubernetesObject {
    public static let kind = "NetworkPolicy"
    public var metadata: ObjectMeta
    public var podSelector: LabelSelector = LabelSelector()
    public var policyTypes: [String] = []
    public init(metadata: ObjectMeta, podSelector: LabelSelector = LabelSelector(), policyTypes: [String] = []) {
        self.metadata = metadata
        self.podSelector = podSelector
        self.policyTypes = policyTypes
    }
}
