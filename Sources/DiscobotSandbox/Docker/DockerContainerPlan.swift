// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// What a sandbox's container is made of, as the engine wants to be told.
struct DockerContainerPlan {
    /// The sandbox's own part of its volume. Its root stays the engine's, as nobody else could give that away.
    static let data = "/.data/agent"
    static let volume = "/.data"
    static let cache = "/.data/cache"
    static let workspace = "/.workspace"
    static let runtime = "/.discobot/discobot-agent"
    static let runDirectory = "/run/discobot"

    let specification: SandboxSpecification
    let configuration: DockerSandboxProvider.Configuration
    let server: String
    let user: DockerUser
    /// Of the server; the socket appears there.
    let runDirectory: String
    /// The runtime's shared libraries that images lack.
    let libraries: [String]
    /// Files of `/etc` in which the user exists, by name.
    let accounts: [(name: String, path: String)]
    let dataVolume: String
    let cacheVolume: String?
    /// The network of the project, where one is needed.
    let network: String

    var settings: JSONValue {
        var fields: [(String, JSONValue)] = [
            ("Image", .string(configuration.image)), ("User", .string(user.description)),
            ("WorkingDir", .string(Self.volume)), ("Entrypoint", .strings(configuration.command ?? [Self.runtime])),
            ("Cmd", []), ("Env", .strings(variables.map { "\($0)=\($1)" })), ("Labels", .labels(labels)),
            // An image's own check would run beside the agent.
            ("Healthcheck", ["Test": ["NONE"]]), ("HostConfig", .object(host)),
        ]
        // The host's name is the host's.
        if specification.network != .host { fields.append(("Hostname", "discobot")) }
        return .object(fields)
    }

    private var labels: [String: String] {
        [
            DockerLabel.managed: "true", DockerLabel.server: server, DockerLabel.type: "sandbox",
            DockerLabel.session: specification.sessionID.rawValue,
            DockerLabel.project: specification.projectID.rawValue,
            DockerLabel.workspace: specification.workspaceID.rawValue,
        ]
    }

    private var variables: [(String, String)] {
        RuntimeVariables.contained(
            specification,
            workspace: Self.workspace,
            data: Self.data,
            socket: Self.runDirectory + "/agent.sock"
        )
    }

    private var host: [(String, JSONValue)] {
        let limits = specification.limits
        var fields: [(String, JSONValue)] = [
            ("Init", true), ("CapDrop", ["ALL"]), ("SecurityOpt", ["no-new-privileges"]), ("Privileged", false),
            ("NetworkMode", .string(networkMode)), ("IpcMode", "private"), ("RestartPolicy", ["Name": "no"]),
            ("ShmSize", .number(Int64(sharedBytes))), ("Mounts", .list(mounts)), ("Ulimits", .list(resourceLimits)),
            ("ReadonlyRootfs", .bool(configuration.isRootReadOnly)),
            // A log of many starts must not grow for ever.
            ("LogConfig", ["Type": "json-file", "Config": ["max-size": "1m", "max-file": "2"]]),
        ]
        if configuration.isRootReadOnly { fields.append(("Tmpfs", .object(memoryFileSystems))) }
        if let processes = limits.processes { fields.append(("PidsLimit", .number(Int64(processes)))) }
        if let megabytes = limits.memoryMegabytes {
            // Both the same is no swap.
            fields += [("Memory", .number(Int64(megabytes) << 20)), ("MemorySwap", .number(Int64(megabytes) << 20))]
        }
        if let cpus = configuration.cpus { fields.append(("NanoCpus", .number(Int64(cpus * 1e9)))) }
        if let runtime = configuration.runtime { fields.append(("Runtime", .string(runtime))) }
        return fields
    }

    private var networkMode: String {
        switch specification.network {
        case .none: "none"
        case .host: "host"
        case .internet: network
        }
    }

    private var sharedBytes: Int {
        let memory = specification.limits.memoryMegabytes.map { $0 / 4 } ?? .max
        return min(configuration.sharedMegabytes, memory) << 20
    }

    /// What programs may write besides data and cache when the root is read-only.
    private var memoryFileSystems: [(String, JSONValue)] {
        let options = "rw,exec,nosuid,nodev,size=\(sharedBytes)"
        return ["/tmp", "/var/tmp"].map { ($0, .string(options + ",mode=1777")) }
            + [("/run", .string(options + ",mode=0755"))]
    }

    private var resourceLimits: [JSONValue] {
        func limit(_ name: String, _ value: Int) -> JSONValue {
            ["Name": .string(name), "Soft": .number(Int64(value)), "Hard": .number(Int64(value))]
        }
        return [limit("core", 0)] + (specification.limits.fileMegabytes.map { [limit("fsize", $0 << 20)] } ?? [])
    }

    private var mounts: [JSONValue] {
        var mounts: [JSONValue] = [
            Self.mount("volume", dataVolume, Self.volume), Self.mount("bind", runDirectory, Self.runDirectory),
            Self.mount("bind", specification.workspacePath, Self.workspace, isReadOnly: true),
        ]
        if let cacheVolume { mounts.append(Self.mount("volume", cacheVolume, Self.cache)) }
        if configuration.command == nil {
            mounts.append(Self.mount("bind", configuration.agentBinary, Self.runtime, isReadOnly: true))
            mounts += libraries.map { Self.mount("bind", $0, $0, isReadOnly: true) }
        }
        return mounts + accounts.map { Self.mount("bind", $0.path, "/etc/\($0.name)", isReadOnly: true) }
    }

    private static func mount(
        _ type: String,
        _ source: String,
        _ target: String,
        isReadOnly: Bool = false
    ) -> JSONValue {
        [
            "Type": .string(type), "Source": .string(source), "Target": .string(target),
            "ReadOnly": .bool(isReadOnly),
        ]
    }
}

extension JSONValue {
    fileprivate static func strings(_ texts: [String]) -> JSONValue {
        .list(texts.map { .string($0) })
    }
}
