// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotServices
import Foundation
import Logging

extension ServerOptions {
    /// Reads every setting once; throws `ServerError` that names the variable with a wrong value.
    init(_ environment: EnvironmentReader) throws {
        try Self.refuseUnsupported(environment)
        let database = try Self.databasePath(environment)
        let beside = (database as NSString).deletingLastPathComponent + "/workspaces"
        self.init(databasePath: database, workspaceDirectory: try environment.path("WORKSPACE_DIR") ?? beside)
        try readServer(environment)
        try readSandboxes(environment)
        try readDocker(environment)
        try readDispatcher(environment)
        try readSessions(environment)
    }

    /// A protection that is asked for and not there must not be left out silently.
    private static func refuseUnsupported(_ environment: EnvironmentReader) throws {
        if try environment.bool("AUTH_ENABLED") == true {
            throw environment.complaint("AUTH_ENABLED", "this version has no authentication; keep it on 127.0.0.1")
        }
    }

    private mutating func readServer(_ environment: EnvironmentReader) throws {
        homeDirectory = environment.home
        host = environment.text("HOST") ?? host
        port = try environment.integer("PORT", in: 0...65535) ?? port
        previewPort = try environment.integer("PREVIEW_PORT", in: 0...65535).flatMap { $0 == 0 ? nil : $0 }
        if let previewPort, previewPort == port {
            throw environment.complaint("PREVIEW_PORT", "must be another port than PORT")
        }
        corsOrigins = environment.list("CORS_ORIGINS") ?? corsOrigins
        trustedProxies = environment.list("TRUSTED_PROXIES") ?? trustedProxies
        if trustedProxies == ["none"] { trustedProxies = [] }
        isCORSDebugEnabled = try environment.bool("CORS_DEBUG") ?? isCORSDebugEnabled
        areSuggestionsEnabled = try environment.bool("SUGGESTIONS_ENABLED") ?? areSuggestionsEnabled
        guard let level = environment.text("LOG_LEVEL") else { return }
        guard let level = Logger.Level(rawValue: level.lowercased()) else {
            let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw environment.complaint("LOG_LEVEL", "must be one of: \(levels)")
        }
        logLevel = level
    }

    private mutating func readSessions(_ environment: EnvironmentReader) throws {
        upkeep.idleTimeout = try environment.duration("SANDBOX_IDLE_TIMEOUT") ?? upkeep.idleTimeout
        upkeep.checkInterval = try environment.duration("IDLE_CHECK_INTERVAL") ?? upkeep.checkInterval
        agentEnvironment = Dictionary(
            AgentCredentials.variableNames.compactMap { name in environment.text(name).map { (name, $0) } },
            uniquingKeysWith: { first, _ in first }
        )
        encryptionKey = environment.text("ENCRYPTION_KEY")
        do {
            _ = try encryptionKey.map(SecretBox.init(hexKey:))
        } catch {
            throw environment.complaint("ENCRYPTION_KEY", "must have 64 hexadecimal digits")
        }
    }

    private mutating func readSandboxes(_ environment: EnvironmentReader) throws {
        isLocalProviderEnabled = try environment.bool("LOCAL_PROVIDER_ENABLED") ?? isLocalProviderEnabled
        local.root = try environment.path("SANDBOX_DIR") ?? local.root
        local.agentBinary = try environment.path("LOCAL_AGENT_BINARY") ?? local.agentBinary
        local.extraPaths = (environment.list("LOCAL_EXTRA_PATHS") ?? []).map { environment.absolute($0) }
        local.isIsolated = try environment.bool("LOCAL_UNISOLATED") != true
        local.home = environment.home
        local.searchPath = environment.text("PATH") ?? local.searchPath
        limits.memoryMegabytes = try limit("SANDBOX_MEMORY_MB", atLeast: 64, environment, limits.memoryMegabytes)
        limits.processes = try limit("SANDBOX_PROCESSES", atLeast: 16, environment, limits.processes)
        limits.fileMegabytes = try limit("SANDBOX_FILE_MB", atLeast: 1, environment, limits.fileMegabytes)
    }

    private mutating func readDocker(_ environment: EnvironmentReader) throws {
        docker.root = local.root + "/docker"
        docker.agentBinary = local.agentBinary
        let settings = try environment.path("DOCKER_CONFIG") ?? environment.home + "/.docker"
        let isVerified = environment.isSet("DOCKER_TLS_VERIFY")
        // Docker's own client looks there as well, when it is not told otherwise.
        let usual = isVerified && access(settings + "/cert.pem", F_OK) == 0 ? settings : nil
        let address = DockerAddress(
            host: environment.text("DOCKER_HOST") ?? "",
            certificates: environment.text("DOCKER_CERT_PATH") ?? usual,
            isVerified: isVerified
        )
        guard let address else {
            throw environment.complaint("DOCKER_HOST", "must be unix:///path or tcp://host:port")
        }
        docker.address = address
        docker.settingsDirectory = settings
        docker.image = environment.text("SANDBOX_IMAGE") ?? docker.image
        guard ImageReference(docker.image) != nil else {
            throw environment.complaint("SANDBOX_IMAGE", "must be the name of an image, such as debian:bookworm")
        }
        docker.network = environment.text("DOCKER_NETWORK")
        docker.runtime = environment.text("SANDBOX_RUNTIME")
        docker.isCacheEnabled = try environment.bool("CACHE_ENABLED") ?? docker.isCacheEnabled
        docker.isRootReadOnly = try environment.bool("SANDBOX_READ_ONLY") ?? docker.isRootReadOnly
        docker.hasOwnAgent = try environment.bool("SANDBOX_IMAGE_AGENT")
        limits.cpus = try environment.integer("SANDBOX_CPUS", in: 0...4096).flatMap { $0 == 0 ? nil : Double($0) }
        limits.sharedMegabytes = try environment.integer("SANDBOX_SHM_MB", in: 1...1 << 20)
        limits.diskMegabytes = try limit("SANDBOX_DISK_MB", atLeast: 16, environment, nil)
    }

    /// 0 is no limit. Less than `minimum`, and not even the runtime would start.
    private func limit(
        _ name: String,
        atLeast minimum: Int,
        _ environment: EnvironmentReader,
        _ standard: Int?
    ) throws -> Int? {
        guard let number = try environment.integer(name, in: 0...1 << 30) else { return standard }
        guard number == 0 || number >= minimum else {
            throw environment.complaint(name, "must be 0 for no limit, or at least \(minimum)")
        }
        return number == 0 ? nil : number
    }

    private mutating func readDispatcher(_ environment: EnvironmentReader) throws {
        func duration(_ name: String, _ setting: WritableKeyPath<ServerOptions, Duration>) throws {
            self[keyPath: setting] = try environment.duration(name) ?? self[keyPath: setting]
        }
        isDispatcherEnabled = try environment.bool("DISPATCHER_ENABLED") ?? isDispatcherEnabled
        dispatcher.wakesOnCommit =
            try environment.bool("DISPATCHER_IMMEDIATE_EXECUTION") ?? dispatcher.wakesOnCommit
        try duration("DISPATCHER_POLL_INTERVAL", \.dispatcher.pollInterval)
        try duration("DISPATCHER_HEARTBEAT_INTERVAL", \.dispatcher.heartbeatInterval)
        try duration("DISPATCHER_HEARTBEAT_TIMEOUT", \.dispatcher.leaseDuration)
        try duration("DISPATCHER_JOB_TIMEOUT", \.dispatcher.jobTimeout)
        try duration("DISPATCHER_STALE_JOB_TIMEOUT", \.dispatcher.staleTimeout)
        try duration("JOB_RETRY_BACKOFF", \.dispatcher.retryBackoff)
        maxJobAttempts = try environment.integer("JOB_MAX_ATTEMPTS", in: 1...100) ?? maxJobAttempts
        guard dispatcher.heartbeatInterval < dispatcher.leaseDuration else {
            throw environment.complaint(
                "DISPATCHER_HEARTBEAT_TIMEOUT",
                "must be longer than DISPATCHER_HEARTBEAT_INTERVAL"
            )
        }
        guard dispatcher.jobTimeout < dispatcher.staleTimeout else {
            throw environment.complaint("DISPATCHER_STALE_JOB_TIMEOUT", "must be longer than DISPATCHER_JOB_TIMEOUT")
        }
    }

    private static func databasePath(_ environment: EnvironmentReader) throws -> String {
        guard let dsn = environment.text("DATABASE_DSN") else {
            return try dataDirectory(environment) + "/discobot.db"
        }
        for prefix in ["sqlite3://", "sqlite://"] where dsn.hasPrefix(prefix) {
            return environment.absolute(String(dsn.dropFirst(prefix.count)))
        }
        guard dsn.hasSuffix(".db") || dsn.hasSuffix(".sqlite") else {
            // Not repeated: it may hold a password.
            throw environment.complaint(
                "DATABASE_DSN",
                "must be sqlite://PATH or a path that ends in .db or .sqlite; this version has SQLite only"
            )
        }
        return environment.absolute(dsn)
    }

    /// Where programs keep a user's data, by the XDG Base Directory Specification.
    private static func dataDirectory(_ environment: EnvironmentReader) throws -> String {
        (try environment.path("XDG_DATA_HOME") ?? environment.home + "/.local/share") + "/discobot"
    }
}
