// swift-tools-version: 6.2
// podnet's benchmarks: a package of their own, so that neither the product's build nor its tests pay for them.
// They see what any user of the library sees. No benchmark library: what counts here is the ratio of twins measured in
// turns, and the time of whole processes, and neither is what such a library offers.

import PackageDescription

let package = Package(
    name: "podnet-benchmarks",
    platforms: [.macOS(.v26)],
    products: [.executable(name: "podnet-benchmarks", targets: ["PodnetBenchmarks"])],
    dependencies: [.package(name: "podnet", path: "..")],
    targets: [
        .executableTarget(
            name: "PodnetBenchmarks",
            dependencies: [.product(name: "PodNetworking", package: "podnet")],
            swiftSettings: [
                .swiftLanguageMode(.v6),
                .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("MemberImportVisibility"),
                .treatAllWarnings(as: .error),
            ])
    ]
)
