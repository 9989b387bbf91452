// How the cluster was set up: kubeadm's ClusterConfiguration (kubeadm.k8s.io/v1beta3 and v1beta4), as far as it decides
// about addresses and names. Empty subnets mean "not stated"; ControlPlane.realiseObjects fills them in.

public import Addressing

public struct ClusterConfiguration: Hashable, Sendable {
    /// `networking.podSubnet`, at most one per family.
    public var podSubnets: [IPPrefix] = []
    /// `networking.serviceSubnet` or the API server's `service-cluster-ip-range`, at most one per family.
    public var serviceSubnets: [IPPrefix] = []
    /// The service subnets were guessed, because nothing states them.
    var serviceSubnetsAreInferred = false
    public var dnsDomain: String = "cluster.local"
    /// `node-cidr-mask-size` or `node-cidr-mask-size-ipv4` of the controller manager.
    public var nodeCIDRMaskSizeIPv4: Int = 24
    public var nodeCIDRMaskSizeIPv6: Int = 64
    /// `service-node-port-range` of the API server.
    public var serviceNodePortRange: ClosedRange<Int> = 30000...32767
    public var controlPlaneEndpoint: String = ""
    public var kubernetesVersion: String = ""
    public var clusterName: String = "kubernetes"
    public var origin: ObjectOrigin?
    public init(
        podSubnets: [IPPrefix] = [], serviceSubnets: [IPPrefix] = [], dnsDomain: String = "cluster.local",
        nodeCIDRMaskSizeIPv4: Int = 24, nodeCIDRMaskSizeIPv6: Int = 64,
        serviceNodePortRange: ClosedRange<Int> = 30000...32767, controlPlaneEndpoint: String = "",
        kubernetesVersion: String = "", clusterName: String = "kubernetes", origin: ObjectOrigin? = nil
    ) {
        self.podSubnets = podSubnets
        self.serviceSubnets = serviceSubnets
        self.dnsDomain = dnsDomain
        self.nodeCIDRMaskSizeIPv4 = nodeCIDRMaskSizeIPv4
        self.nodeCIDRMaskSizeIPv6 = nodeCIDRMaskSizeIPv6
        self.serviceNodePortRange = serviceNodePortRange
        self.controlPlaneEndpoint = controlPlaneEndpoint
        self.kubernetesVersion = kubernetesVersion
        self.clusterName = clusterName
        self.origin = origin
    }

    public static let defaultPodSubnet = IPPrefix(.v4(10, 244, 0, 0), length: 16)
    public static let defaultServiceSubnet = IPPrefix(.v4(10, 96, 0, 0), length: 12)

    public func podSubnet(_ family: AddressFamily) -> IPPrefix? { podSubnets.first { $0.family == family } }
    public func serviceSubnet(_ family: AddressFamily) -> IPPrefix? { serviceSubnets.first { $0.family == family } }
    public func nodeCIDRMaskSize(_ family: AddressFamily) -> Int {
        family == .ipv4 ? nodeCIDRMaskSizeIPv4 : nodeCIDRMaskSizeIPv6
    }

    /// The family Services get when they name none: that of the first service subnet.
    public var primaryFamily: AddressFamily { serviceSubnets.first?.family ?? .ipv4 }
}
