// The same clients at the same doors under several kube-proxy modes, and where they fare differently: what a change of
// mode would change.

public import Kubernetes

/// A client at a door that is treated differently by some mode.
public struct ParityDifference: Sendable {
    /// One for each mode, in the order of the report's modes.
    public let results: [DoorResult]
}

/// What differs between modes.
public struct ParityReport: Sendable {
    public let modes: [ProxyMode]
    /// How many clients at doors were compared.
    public let compared: Int
    public let differences: [ParityDifference]
    /// What differs where no Service is, in every cluster: shown on one Service, and counted nowhere.
    public let strays: [ParityDifference]

    /// Asks at every door of the Services in every mode. Throws when the cluster has no room for the clients.
    public init(
        _ cluster: Cluster, services: [ObjectKey], modes: [ProxyMode] = ProxyMode.allCases, seed: UInt64
    ) throws(ObjectError) {
        var columns: [[DoorResult]] = []
        var strays: [[DoorResult]] = []
        for mode in modes {
            var survey = try DoorSurvey(cluster, services: services, mode: mode, seed: seed)
            columns.append(survey.results())
            strays.append(survey.strayResults())
        }
        self.modes = modes
        compared = columns.map(\.count).min() ?? 0
        differences = Self.differences(columns)
        self.strays = Self.differences(strays)
    }

    /// Equal objects give equal doors and clients in every mode, in one order.
    private static func differences(_ columns: [[DoorResult]]) -> [ParityDifference] {
        (0..<(columns.map(\.count).min() ?? 0)).compactMap { row in
            let results = columns.map { $0[row] }
            let first = results[0].behaviour
            return results.allSatisfy { $0.behaviour == first } ? nil : ParityDifference(results: results)
        }
    }
}
