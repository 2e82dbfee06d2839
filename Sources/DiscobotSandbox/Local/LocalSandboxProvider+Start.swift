// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
package import DiscobotModel
import Glibc

extension LocalSandboxProvider {
    /// How long until the runtime begins.
    private static let patience: Duration = .seconds(60)

    package func start(_ id: ID<Session>) async throws {
        guard let session = files.session(id) else { throw Self.unknown }
        try await queue.run(id) {
            guard var record = try record(session) else { throw Self.unknown }
            if try isRunning(session) { return }
            try await refuseWhatIsMissing(record.specification)
            // Something may be left of one whose launcher was ended.
            try await end(session)
            try await prepare(record.specification, session)
            record.startedAt = .now
            try write(record, session)
            try await launch(record.specification, session)
            try await watch.follow(id, LifeLine(path: session.alive))
        }
        feed.publish(id)
    }

    private func refuseWhatIsMissing(_ specification: SandboxSpecification) async throws {
        var problem = agentProblem
        if configuration.isIsolated {
            problem = problem ?? Self.bubblewrapProblem
            if problem == nil, specification.network == .internet { problem = await Self.networkProblem() }
        }
        if let problem { throw SandboxError(.unavailable, "\(problem.reason). \(problem.remedy)") }
        guard access(specification.workspacePath, R_OK | X_OK) == 0 else {
            throw SandboxError(.startFailed, "the workspace's directory \(specification.workspacePath) cannot be read")
        }
    }

    /// Writes what the launcher reads.
    private func prepare(_ specification: SandboxSpecification, _ session: LocalSessionFiles) async throws {
        try files.prepare()
        let cache = files.cache(of: specification.projectID)
        for directory in [session.data, session.data + "/home", cache, session.runDirectory] {
            try PrivateFile.makeDirectory(directory)
        }
        for path in [session.exit, session.stopping, session.info, session.pid, session.started] + session.networkPipes
        {
            unlink(path)
        }
        for path in [session.alive, session.started] + session.networkPipes { try PrivateFile.makePipe(path) }
        Self.shorten(session.log)
        try PrivateFile.write(LocalLauncher.script, to: session.launcher)
        let programs = UserPrograms(
            home: configuration.home,
            searchPath: configuration.searchPath,
            extra: configuration.extraPaths,
            hidden: configuration.hiddenPaths + [configuration.root]
        )
        guard configuration.isIsolated else {
            return try writeEnvironment(specification, programs, session, cache: cache)
        }
        // One that is replaced while another sandbox is being made would be gone for that one's bubblewrap.
        for (name, text) in BubblewrapArguments.etc where try PrivateFile.read("\(files.etc)/\(name)") != text {
            try PrivateFile.write(text, to: "\(files.etc)/\(name)")
        }
        let arguments = BubblewrapArguments(
            specification,
            files: session,
            cache: cache,
            etc: files.etc,
            runtime: configuration.command == nil ? configuration.agentBinary : "/bin/sh",
            libraries: try await libraries.files(of: configuration.agentBinary),
            programs: programs,
            variables: RuntimeVariables.isolated(specification, programs)
        )
        try PrivateFile.write(arguments.list.map { $0 + "\0" }.joined(), to: session.arguments)
    }

    private func writeEnvironment(
        _ specification: SandboxSpecification,
        _ programs: UserPrograms,
        _ session: LocalSessionFiles,
        cache: String
    ) throws {
        let variables = RuntimeVariables.plain(specification, programs, session, cache: cache)
        let lines = variables.map { name, value in "\(name)='\(value.replacing("'", with: #"'\''"#))'\n" }
        try PrivateFile.write(lines.joined(), to: session.environment)
    }

    private func launch(_ specification: SandboxSpecification, _ session: LocalSessionFiles) async throws {
        let closed = configuration.isIsolated && specification.network == .internet ? try HostAddresses.closed() : []
        let groups = ControlGroups(making: session.groupName, specification.limits)
        let network = configuration.isIsolated ? specification.network.rawValue : "plain"
        let runtime = configuration.isIsolated ? BubblewrapArguments.runtime : configuration.agentBinary
        let command = configuration.command ?? [runtime]
        let arguments =
            ["--fork", "sh", session.launcher, "run", session.directory, network]
            + [closed.joined(separator: " "), groups.directories.joined(separator: " "), session.agentSocket.path]
            + ProcessLimits.command(specification.limits, countsMemory: !groups.limitMemory) + command
        // Before anybody writes to it.
        let signal = try StartSignal(path: session.started)
        defer { signal?.cancel() }
        let isLaunched: Bool
        do {
            isLaunched = try await LocalCommand.output("setsid", arguments, within: Self.patience) != nil
        } catch {
            // It may have got as far as to have a sandbox.
            try await end(session)
            throw error
        }
        if isLaunched, await signal?.hasCome(within: Self.patience) == true { return }
        // Its end may take another moment, and then there is an exit code.
        if try await !LifeLine(path: session.alive).hasEnded(within: .seconds(1)) {
            try await end(session)
        }
        try Task.checkCancellation()
        let reason = LocalSandboxRecord.tail(try PrivateFile.read(session.log, limit: 4096) ?? "")
        throw SandboxError(.startFailed, "the sandbox could not be started" + reason)
    }

    /// A log of many starts must not grow for ever.
    private static func shorten(_ log: String) {
        var status = stat()
        if stat(log, &status) == 0, status.st_size > 1 << 20 { rename(log, log + ".1") }
    }
}

/// What a runtime's processes may use, each for itself. The number of processes counts for the sandbox as a whole, as it
/// has its own users.
enum ProcessLimits {
    /// To be put before a command.
    static func command(_ limits: SandboxSpecification.Limits, countsMemory: Bool) -> [String] {
        var options = ["--core=0"]
        if let processes = limits.processes { options.append(option("nproc", processes, Int(__RLIMIT_NPROC.rawValue))) }
        if let megabytes = limits.fileMegabytes {
            options.append(option("fsize", megabytes << 20, Int(RLIMIT_FSIZE.rawValue)))
        }
        if countsMemory, let megabytes = limits.memoryMegabytes {
            options.append(option("data", megabytes << 20, Int(RLIMIT_DATA.rawValue)))
        }
        return ["prlimit"] + options + ["--"]
    }

    /// Nobody but root can have more than the server has.
    private static func option(_ name: String, _ value: Int, _ resource: Int) -> String {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(UInt32(resource)), &limit)
        return "--\(name)=\(min(UInt64(value), UInt64(limit.rlim_max)))"
    }
}
