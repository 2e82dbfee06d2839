// swift-tools-version: 6.2
import PackageDescription

let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let asyncHTTPClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let serviceLifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")

let package = Package(
    name: "discobot-server",
    products: [
        .executable(name: "discobot-server", targets: ["discobot-server"]),
        .executable(name: "discobot-agent", targets: ["discobot-agent"]),
    ],
    // Exact versions of everything that is used directly.
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", exact: "1.4.0"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", exact: "1.0.2"),
    ],
    targets: [
        .target(name: "DiscobotModel"),
        .target(name: "DiscobotAgentAPI", dependencies: ["DiscobotModel", crypto]),
        .target(name: "DiscobotTunnel", dependencies: [crypto, nioCore, nioHTTP1, nioPosix]),
        .target(
            name: "DiscobotHTTP",
            dependencies: [
                "DiscobotModel", "DiscobotTunnel", hummingbird, httpTypes, logging, nioCore, nioHTTP1, serviceLifecycle,
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]
        ),
        .target(
            name: "DiscobotStore",
            dependencies: [
                "DiscobotModel",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ]
        ),
        .target(
            name: "DiscobotGit",
            dependencies: [
                "CLinux", "DiscobotModel", subprocess, .product(name: "SystemPackage", package: "swift-system"),
            ]
        ),
        .target(
            name: "DiscobotSandbox",
            dependencies: [
                "DiscobotAgentAPI", "DiscobotModel", "DiscobotTunnel", asyncHTTPClient, crypto, logging, nioCore,
                nioHTTP1, nioPosix, subprocess,
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "SystemPackage", package: "swift-system"),
            ]
        ),
        .target(name: "CLinux"),
        .target(
            name: "DiscobotAgent",
            dependencies: [
                "CLinux", "DiscobotAgentAPI", "DiscobotGit", "DiscobotHTTP", "DiscobotModel", "DiscobotTunnel",
                hummingbird, httpTypes, logging, nioCore, nioPosix, serviceLifecycle, subprocess,
                .product(name: "SystemPackage", package: "swift-system"),
            ]
        ),
        .executableTarget(
            name: "discobot-agent",
            dependencies: [
                "DiscobotAgent", "DiscobotAgentAPI", "DiscobotHTTP", "DiscobotModel", logging, serviceLifecycle,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            // Each sandbox has one. At a fixed address, where nothing is patched when it starts, with equal functions
            // only once and unused ones not at all, it needs a sixth less memory.
            linkerSettings: [
                .unsafeFlags(
                    [
                        "-Xclang-linker", "-no-pie", "-Xlinker", "--no-export-dynamic", "-Xlinker", "--icf=safe",
                        "-Xlinker", "--gc-sections",
                    ],
                    .when(configuration: .release)
                )
            ]
        ),
        .target(
            name: "DiscobotServices",
            dependencies: [
                "DiscobotAgentAPI", "DiscobotGit", "DiscobotModel", "DiscobotSandbox", "DiscobotStore",
                "DiscobotTunnel", crypto, logging, nioCore, serviceLifecycle,
            ]
        ),
        .target(
            name: "DiscobotAPI",
            dependencies: [
                "DiscobotAgentAPI", "DiscobotGit", "DiscobotHTTP", "DiscobotModel", "DiscobotSandbox",
                "DiscobotServices", "DiscobotTunnel", hummingbird, httpTypes, logging, nioCore, nioHTTP1,
            ],
            resources: [.embedInCode("APIBrowser/api-browser.html"), .embedInCode("Terminal/terminal.html")]
        ),
        .executableTarget(
            name: "discobot-server",
            dependencies: [
                "CLinux", "DiscobotAPI", "DiscobotGit", "DiscobotHTTP", "DiscobotModel", "DiscobotSandbox",
                "DiscobotServices", "DiscobotStore", hummingbird, logging, nioCore, serviceLifecycle,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]
        ),
        .executableTarget(
            name: "discobot-bench",
            dependencies: [
                "CLinux", "DiscobotAgentAPI", "DiscobotModel", "DiscobotServices", "DiscobotStore", "DiscobotTunnel",
                asyncHTTPClient, logging, nioCore, nioHTTP1, nioPosix, serviceLifecycle,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Benchmarks/discobot-bench"
        ),
        .target(
            name: "DiscobotTestSupport",
            dependencies: [
                "CLinux", "DiscobotAgentAPI", "DiscobotHTTP", "DiscobotModel", "DiscobotSandbox", "DiscobotServices",
                "DiscobotStore", "DiscobotTunnel",
                "discobot-agent", "discobot-server", hummingbird, asyncHTTPClient, httpTypes, logging, nioCore,
                nioHTTP1, nioPosix, serviceLifecycle, subprocess,
                .product(name: "SystemPackage", package: "swift-system"),
            ]
        ),
        .testTarget(name: "DiscobotModelTests", dependencies: ["DiscobotModel"]),
        .testTarget(name: "DiscobotAgentAPITests", dependencies: ["DiscobotAgentAPI", "DiscobotModel"]),
        .testTarget(
            name: "DiscobotAgentTests",
            dependencies: [
                "DiscobotAgent", "DiscobotAgentAPI", "DiscobotHTTP", "DiscobotModel", "DiscobotSandbox",
                "DiscobotTestSupport", "DiscobotTunnel", "discobot-agent", nioHTTP1,
            ]
        ),
        .testTarget(
            name: "DiscobotSandboxTests",
            dependencies: [
                "DiscobotAgentAPI", "DiscobotModel", "DiscobotSandbox", "DiscobotTestSupport", "discobot-agent",
                logging, nioCore,
                nioHTTP1,
            ]
        ),
        .testTarget(
            name: "DiscobotStoreTests",
            dependencies: ["DiscobotModel", "DiscobotStore", "DiscobotTestSupport"]
        ),
        .testTarget(name: "DiscobotGitTests", dependencies: ["DiscobotGit"]),
        .testTarget(
            name: "DiscobotServicesTests",
            dependencies: [
                "DiscobotGit", "DiscobotModel", "DiscobotServices", "DiscobotStore", "DiscobotTestSupport",
                logging, nioCore, serviceLifecycle,
            ]
        ),
        .testTarget(
            name: "DiscobotTunnelTests",
            dependencies: [
                "DiscobotHTTP", "DiscobotModel", "DiscobotTestSupport", "DiscobotTunnel", hummingbird, httpTypes,
                logging, nioCore, nioEmbedded, nioHTTP1, nioPosix, serviceLifecycle, subprocess,
                .product(name: "SystemPackage", package: "swift-system"),
            ]
        ),
        .testTarget(name: "DiscobotHTTPTests", dependencies: ["DiscobotHTTP", "DiscobotModel", hummingbird, nioCore]),
        .testTarget(
            name: "DiscobotAPITests",
            dependencies: [
                "DiscobotAPI", "DiscobotModel", "DiscobotSandbox", "DiscobotStore", "DiscobotTestSupport",
                "discobot-server",
                httpTypes, nioCore,
            ]
        ),
        .testTarget(
            name: "DiscobotServerTests",
            dependencies: [
                "DiscobotModel", "DiscobotSandbox", "DiscobotServices", "DiscobotStore", "DiscobotTestSupport",
                "DiscobotTunnel", "discobot-server", httpTypes, logging, nioHTTP1,
            ]
        ),
    ]
)

for target in package.targets {
    target.swiftSettings = [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    ]
}
