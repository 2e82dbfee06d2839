// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import Glibc

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
    /// What it is made of.
    let image: String
    /// What the name in the settings means.
    let imageID: String
    let configuration: DockerSandboxProvider.Configuration
    let server: String
    let users: DockerUsers
    let passage: DockerPassage
    /// Whether the image serves the agent API by itself.
    let hasOwnAgent: Bool
    /// Of the server; the socket appears there.
    let runDirectory: String
    /// The runtime's shared libraries that images lack.
    let libraries: [String]
    /// Nil for a container that has no data to keep.
    let dataVolume: String?
    let cacheVolume: String?
    /// The network of the project, where one is needed.
    let network: String
    let engine: DockerInfo
    /// The version of the API that the engine is spoken to by.
    let version: DockerVersion

    var settings: JSONValue {
        .object(fields + [("Labels", .labels(labels.merging([DockerLabel.plan: digest]) { $1 }))])
    }

    /// Equal for containers that are made alike.
    var digest: String { LocalSandboxFiles.digest(JSONValue.object(fields + [("Labels", .labels(labels))]).compact) }

    private var fields: [(String, JSONValue)] {
        var fields: [(String, JSONValue)] = [
            ("Image", .string(image)), ("Env", .strings(variables.map { "\($0)=\($1)" })),
            // An image's own check would run beside the agent.
            ("Healthcheck", ["Test": ["NONE"]]), ("HostConfig", .object(host)),
        ]
        if !hasOwnAgent {
            fields += [
                ("User", .string(users.inside.description)),
                ("WorkingDir", .string(dataVolume == nil ? "/" : Self.volume)),
                ("Entrypoint", .strings(configuration.command ?? [Self.runtime])), ("Cmd", []),
            ]
        }
        if passage == .port { fields.append(("ExposedPorts", .object([(DockerPassage.portName, .object([]))]))) }
        // The host's name is the host's.
        if specification.network != .host { fields.append(("Hostname", "discobot")) }
        return fields
    }

    private var labels: [String: String] {
        // Without data it is no session's.
        guard dataVolume != nil else {
            return [DockerLabel.managed: "true", DockerLabel.server: server, DockerLabel.type: "look"]
        }
        return [
            DockerLabel.managed: "true", DockerLabel.server: server, DockerLabel.type: "sandbox",
            DockerLabel.session: specification.sessionID.rawValue,
            DockerLabel.project: specification.projectID.rawValue,
            DockerLabel.workspace: specification.workspaceID.rawValue, DockerLabel.image: configuration.image,
            DockerLabel.imageID: imageID,
        ]
    }

    private var variables: [(String, String)] {
        RuntimeVariables.contained(
            specification,
            workspace: Self.workspace,
            data: dataVolume == nil ? "/tmp/agent" : Self.data,
            server: passage == .socket
                ? (.socket, Self.runDirectory + "/agent.sock") : (.port, String(DockerPassage.portNumber)),
            isPersonal: !hasOwnAgent
        )
    }

    private var host: [(String, JSONValue)] {
        let limits = specification.limits
        var fields: [(String, JSONValue)] = [
            // An image's own agent is an init itself.
            ("Init", .bool(!hasOwnAgent)), ("CapDrop", ["ALL"]), ("SecurityOpt", securityOptions),
            ("Privileged", false),
            ("NetworkMode", .string(networkMode)), ("IpcMode", "private"), ("RestartPolicy", ["Name": "no"]),
            ("ShmSize", .number(Int64(sharedBytes))), ("Mounts", .list(mounts)), ("Ulimits", .list(resourceLimits)),
            ("ReadonlyRootfs", .bool(isRootReadOnly)),
            // A log of many starts must not grow for ever.
            ("LogConfig", ["Type": "json-file", "Config": ["max-size": "1m", "max-file": "2"]]),
        ]
        if isRootReadOnly { fields.append(("Tmpfs", .object(memoryFileSystems))) }
        if let processes = limits.processes { fields.append(("PidsLimit", .number(Int64(processes)))) }
        if let megabytes = limits.memoryMegabytes {
            // Both the same is no swap.
            fields += [("Memory", .number(Int64(megabytes) << 20)), ("MemorySwap", .number(Int64(megabytes) << 20))]
        }
        // What cannot be written needs no limit.
        if let disk = limits.diskMegabytes, !isRootReadOnly {
            fields.append(("StorageOpt", ["size": .string("\(disk)m")]))
        }
        if let cpus = limits.cpus { fields.append(("NanoCpus", .number(Int64(cpus * 1e9)))) }
        if let runtime = configuration.runtime { fields.append(("Runtime", .string(runtime))) }
        if let namespace = users.namespace { fields.append(("UsernsMode", .string(namespace))) }
        if passage == .port { fields.append(("PortBindings", Self.portBindings)) }
        return fields
    }

    /// A free port of this machine's own address: nobody else's machine gets there, and the secret keeps others out.
    private static let portBindings: JSONValue = .object([
        (DockerPassage.portName, .list([["HostIp": "127.0.0.1", "HostPort": ""]]))
    ])

    /// SELinux would keep the sandbox from a workspace that is not labelled for it, and labels are the user's.
    private var securityOptions: JSONValue {
        .strings(["no-new-privileges"] + (engine.hasSELinux ? ["label=disable"] : []))
    }

    /// What starts as an image likes may write where it likes, unless that is forbidden.
    var isRootReadOnly: Bool { configuration.isRootReadOnly ?? !hasOwnAgent }

    private var networkMode: String {
        switch specification.network {
        case .none: "none"
        case .host: "host"
        case .internet: network
        }
    }

    private var sharedBytes: Int {
        let memory = specification.limits.memoryMegabytes.map { $0 / 4 } ?? .max
        return min(specification.limits.sharedMegabytes ?? configuration.sharedMegabytes, memory) << 20
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
        var limits = [limit("core", 0), limit("nofile", Self.own(RLIMIT_NOFILE))]
        if engine.isPodman { limits.append(limit("nproc", Self.own(__RLIMIT_NPROC))) }
        if let megabytes = specification.limits.fileMegabytes { limits.append(limit("fsize", megabytes << 20)) }
        return limits
    }

    /// The most that the server may have itself, up to a million: programs that close all that they might have open take
    /// long where an engine gives a billion, and engines fail that would give more than they may.
    private static func own(_ resource: __rlimit_resource) -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0 else { return 1 << 20 }
        return Int(min(limit.rlim_max, 1 << 20))
    }

    private var mounts: [JSONValue] {
        var mounts: [JSONValue] = [
            Self.mount(
                "bind",
                specification.workspacePath,
                Self.workspace,
                isReadOnly: true,
                isRecursive: isReadOnlyRecursive
            )
        ]
        if let dataVolume { mounts.append(Self.mount("volume", dataVolume, Self.volume)) }
        if passage == .socket { mounts.append(Self.mount("bind", runDirectory, Self.runDirectory)) }
        if let cacheVolume { mounts.append(Self.mount("volume", cacheVolume, Self.cache)) }
        if configuration.command == nil, !hasOwnAgent {
            mounts.append(Self.mount("bind", configuration.agentBinary, Self.runtime, isReadOnly: true))
            mounts += libraries.map { Self.mount("bind", $0, $0, isReadOnly: true) }
        }
        return mounts
    }

    /// Before version 1.44, what is mounted below something read-only can be written, so it is left out. That is more than a
    /// rootless engine may do, whose user can write no more in the sandbox than outside.
    private var isReadOnlyRecursive: Bool { version >= DockerVersion(1, 44) || engine.isRootless }

    private static func mount(
        _ type: String,
        _ source: String,
        _ target: String,
        isReadOnly: Bool = false,
        isRecursive: Bool = true
    ) -> JSONValue {
        let fields: [(String, JSONValue)] = [
            ("Type", .string(type)), ("Source", .string(source)), ("Target", .string(target)),
            ("ReadOnly", .bool(isReadOnly)),
        ]
        return .object(fields + (isRecursive ? [] : [("BindOptions", ["NonRecursive": true])]))
    }
}

extension JSONValue {
    fileprivate static func strings(_ texts: [String]) -> JSONValue {
        .list(texts.map { .string($0) })
    }
}
