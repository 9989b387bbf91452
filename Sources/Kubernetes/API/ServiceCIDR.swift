// Where cluster IPs are taken from (networking.k8s.io/v1 and v1beta1 ServiceCIDR). The API server makes one called
// `kubernetes` from its own flag; others are made by people. Simplified: its status is not kept.

public import Addressing

public struct ServiceCIDR: KubernetesObject {
    public static let kind = "ServiceCIDR"
    public static let isNamespaced = false
    public var metadata: ObjectMeta
    /// At most one of each family.
    public var cidrs: [IPPrefix]
    public init(metadata: ObjectMeta, cidrs: [IPPrefix] = []) {
        self.metadata = metadata
        self.cidrs = cidrs
    }

    /// The name of the one the API server makes.
    public static let defaultName = "kubernetes"
}
