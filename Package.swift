// swift-tools-version: 6.2
// podnet: a pod networking simulator. Each target may import only the targets listed for it;
// docs/ARCHITECTURE.md draws the picture and scripts/check-layers enforces it.

import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

func layer(_ name: String, imports: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: imports, swiftSettings: strict)
}

/// `data` names folders of expected outputs and recorded inputs, which tests read where they lie.
func tests(for name: String, imports: [Target.Dependency] = [], data: [String] = []) -> Target {
    .testTarget(name: "\(name)Tests", dependencies: imports, exclude: data, swiftSettings: strict)
}

let package = Package(
    name: "podnet",
    platforms: [.macOS(.v26)],
    products: [
        .executable(name: "podnet", targets: ["podnet"]),
        .library(
            name: "PodNetworking",
            targets: [
                "Addressing", "Capture", "Wire", "Netstack", "Kubernetes", "NodeAgents", "Simulation", "Manifests",
                "Rendering",
            ]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
    ],
    targets: [
        .systemLibrary(
            name: "Clibpcap", pkgConfig: "libpcap", providers: [.apt(["libpcap-dev"]), .brew(["libpcap"])]),
        .systemLibrary(
            name: "Clibyaml", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"]), .brew(["libyaml"])]),

        .systemLibrary(name: "Clinux"),

        layer("Addressing"),
        layer("Capture", imports: ["Clibpcap"]),
        layer("Wire", imports: ["Addressing"]),
        layer("Netstack", imports: ["Addressing", "Wire"]),
        layer("Kubernetes", imports: ["Addressing"]),
        layer("NodeAgents", imports: ["Addressing", "Netstack", "Kubernetes"]),
        layer(
            "Simulation",
            imports: [
                "Addressing", "Wire", "Netstack", "Kubernetes", "NodeAgents",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
            ]),
        layer("Manifests", imports: ["Addressing", "Kubernetes", "Simulation", "Clibyaml"]),
        layer("Rendering", imports: ["Addressing", "Capture", "Wire", "Netstack", "Kubernetes", "Simulation"]),
        layer(
            "Lab", imports: ["Addressing", "Wire", "Netstack", "Kubernetes", "Simulation", "Clinux"]),
        .executableTarget(
            name: "podnet",
            dependencies: [
                "Addressing", "Capture", "Kubernetes", "Netstack", "Simulation", "Manifests", "Rendering", "Lab",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        tests(for: "Addressing", imports: ["Addressing"]),
        tests(for: "Capture", imports: ["Capture", "Clibpcap"]),
        tests(for: "Wire", imports: ["Addressing", "Wire"]),
        tests(for: "Netstack", imports: ["Addressing", "Wire", "Netstack"]),
        tests(for: "Kubernetes", imports: ["Addressing", "Kubernetes"]),
        tests(
            for: "NodeAgents", imports: ["Addressing", "Wire", "Netstack", "Kubernetes", "NodeAgents", "Manifests"],
            data: ["Vectors"]),
        tests(
            for: "Simulation",
            imports: ["Addressing", "Wire", "Netstack", "Kubernetes", "NodeAgents", "Simulation", "Manifests"],
            data: ["KernelFlows"]),
        tests(for: "Manifests", imports: ["Addressing", "Kubernetes", "Simulation", "Manifests"]),
        tests(
            for: "Rendering",
            imports: ["Addressing", "Capture", "Kubernetes", "Netstack", "Simulation", "Manifests", "Rendering"],
            data: ["Data"]),
        tests(
            for: "Lab",
            imports: ["Addressing", "Kubernetes", "Netstack", "Simulation", "Manifests", "Lab"]),
        tests(for: "CommandLine", imports: ["Capture", "Clibpcap", "podnet"], data: ["BadInput", "Goldens"]),
        tests(
            for: "Documentation",
            imports: ["Kubernetes", "Manifests", "Netstack", "Rendering", "Simulation", "podnet"]),
        tests(for: "Tidy", imports: ["Addressing", "Capture", "Wire"]),
    ]
)
