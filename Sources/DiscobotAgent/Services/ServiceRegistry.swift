// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import FoundationEssentials
import Logging

/// The services of the sandbox's session. They belong to the runtime: a server that comes and goes does not touch them,
/// and they end with the sandbox.
actor ServiceRegistry {
    private struct Entry {
        var status: ServiceStatus
        let startedAt: Timestamp
        let output: ServiceOutput
        var process: AgentProcess?
        var exitCode: Int?
        var task: Task<Void, Never>?
        var endedAt: ContinuousClock.Instant?
        /// By the user, and not by itself.
        var wasStopped = false
    }

    /// So many may run at once.
    static let limit = 64
    /// How long a service has to end by itself.
    private static let grace = Duration.seconds(5)

    private let context: ProgramContext
    private var entries: [String: Entry] = [:]
    private var isStopping = false
    /// What was read last, and when.
    private var lastRead: (definitions: [ServiceDefinition], time: ContinuousClock.Instant)?

    init(_ context: ProgramContext) {
        self.context = context
    }

    /// All services, in the order in which they are shown; one whose file has gone stays while it runs.
    func list() throws -> [ServiceInfo] {
        let definitions = try definitions()
        let known = Set(definitions.map(\.id))
        for (id, entry) in entries where entry.status == .stopped && !known.contains(id) { entries[id] = nil }
        let orphans = entries.keys.filter { !known.contains($0) }.sorted().map {
            ServiceInfo(id: $0, name: $0, path: ServiceDefinition.folder, status: .running)
        }
        return definitions.map(ServiceInfo.init).map(completed) + orphans.map(completed)
    }

    private func definitions() throws -> [ServiceDefinition] {
        try context.workingCopy.requireReady()
        let definitions = ServiceDefinition.all(in: context.directories.workspace)
        lastRead = (definitions, .now)
        return definitions
    }

    /// Throws `notFound`.
    func definition(of id: String) throws -> ServiceDefinition {
        guard let found = try definitions().first(where: { $0.id == id }) else { throw Self.unknown(id) }
        return found
    }

    /// The same for a preview's many requests, as it was a moment ago.
    private func recentDefinition(of id: String) throws -> ServiceDefinition {
        guard let lastRead, .now - lastRead.time < Self.recent,
            let known = lastRead.definitions.first(where: { $0.id == id })
        else { return try definition(of: id) }
        return known
    }

    private static let recent = Duration.seconds(1)

    private static func unknown(_ id: String) -> ServiceError {
        ServiceError(.notFound, "there is no service \(id.prefix(100)) in \(ServiceDefinition.folder)")
    }

    private func completed(_ info: ServiceInfo) -> ServiceInfo {
        guard let entry = entries[info.id] else { return info }
        var info = info
        info.status = entry.status
        if entry.status != .stopped {
            info.pid = entry.process.map { Int($0.pid) }
            info.startedAt = entry.startedAt
        }
        info.exitCode = entry.exitCode
        return info
    }

    /// Starts a service; of two calls at once the second one throws `alreadyRunning`.
    func start(_ id: String) throws {
        let definition = try definition(of: id)
        if let entry = entries[id], entry.status != .stopped {
            let word = entry.status == .stopping ? "is stopping" : "runs already"
            throw ServiceError(.alreadyRunning, "the service \(id) \(word)", pid: entry.process.map { Int($0.pid) })
        }
        guard !definition.isPassive else {
            throw ServiceError(.isPassive, "the service \(id) is only described; something else starts it")
        }
        if let problem = definition.problem { throw ServiceError(.cannotStart, problem) }
        guard !isStopping else { throw ServerError(.unavailable, "the agent's runtime is stopping") }
        guard entries.values.count(where: { $0.status != .stopped }) < Self.limit else {
            throw ServiceError(.tooMany, "\(Self.limit) services run already")
        }
        begin(definition)
    }

    private func begin(_ definition: ServiceDefinition) {
        let id = definition.id
        let startedAt = Timestamp.now
        let output = ServiceOutput(startedAt: startedAt)
        entries[id] = Entry(status: .starting, startedAt: startedAt, output: output)
        let run = ServiceRun(command: command(definition), output: output, strays: context.strays)
        context.logger.info("service started", metadata: ["service": "\(id)"])
        // Lives as long as the service, whoever asked for it; `stop` ends it.
        entries[id]?.task = Task {
            let exitCode = await run.run { await self.started(id, $0) }
            ended(id, exitCode)
        }
    }

    private func command(_ definition: ServiceDefinition) -> AgentProcess.Command {
        context.command(definition.path, definition.endpoint.map { ["PORT": String($0.port)] } ?? [:])
    }

    private func started(_ id: String, _ process: AgentProcess) {
        entries[id]?.process = process
        if entries[id]?.status == .starting { entries[id]?.status = .running }
        // Somebody has stopped it before it was there.
        if entries[id]?.status == .stopping { process.askToEnd() }
    }

    private func ended(_ id: String, _ exitCode: Int) {
        context.logger.info("service ended", metadata: ["service": "\(id)", "exitCode": "\(exitCode)"])
        entries[id]?.status = .stopped
        entries[id]?.exitCode = exitCode
        entries[id]?.process = nil
        entries[id]?.task = nil
        entries[id]?.endedAt = .now
    }

    /// Returns when nothing of the service runs any more: what it has started is asked to end, and killed 5 seconds later.
    /// Throws `notFound` or `notRunning`.
    func stop(_ id: String, grace: Duration = grace) async throws {
        guard let entry = entries[id], let task = entry.task else {
            _ = try definition(of: id)
            // One that has just ended by itself is not to be started by the next request either.
            entries[id]?.wasStopped = true
            throw ServiceError(.notRunning, "the service \(id) does not run")
        }
        entries[id]?.status = .stopping
        entries[id]?.wasStopped = true
        entry.process?.askToEnd()
        await Self.end(task, within: grace)
    }

    /// Not a part of the caller's task: a client that goes must not leave half of it.
    private static func end(_ task: Task<Void, Never>, within grace: Duration) async {
        let killer = Task {
            try await Task.sleep(for: grace)
            task.cancel()
        }
        await task.value
        killer.cancel()
    }

    /// Ends all services and starts none any more.
    func stopAll() async {
        isStopping = true
        await withTaskGroup { group in
            for id in entries.keys { group.addTask { try? await self.stop(id, grace: .seconds(2)) } }
        }
    }

    /// What the last run has written; nil when there was none. Throws `notFound`.
    func output(of id: String) throws -> ServiceOutput? {
        if let entry = entries[id] { return entry.output }
        _ = try definition(of: id)
        return nil
    }

    /// Where a service is to be reached; starts it when it does not run, unless the user has stopped it or it has ended just
    /// now. Throws `ServiceError`.
    func endpoint(of id: String) throws -> ServiceDefinition.Endpoint {
        let definition = try recentDefinition(of: id)
        guard let endpoint = definition.endpoint else {
            throw ServiceError(.noPort, "the service \(id) names no port: its front matter needs http or https")
        }
        let isOn = (entries[id]?.status ?? .stopped) != .stopped
        let hasJustEnded = entries[id]?.endedAt.map { .now - $0 < Self.restartDelay } ?? false
        // A page that is still open somewhere asks again for ever.
        let wasStopped = entries[id]?.wasStopped ?? false
        if !definition.isPassive, !isOn, !hasJustEnded, !wasStopped { try start(id) }
        return endpoint
    }

    /// A page that asks again and again must not keep a service busy that ends at once.
    private static let restartDelay = Duration.seconds(5)

    /// Why a service does not answer, and whether it still may.
    func refusal(of id: String) throws -> (error: ServiceError, isFinal: Bool) {
        let definition = try definition(of: id)
        let port = definition.endpoint.map { "port \($0.port)" } ?? "its port"
        guard let entry = entries[id], !definition.isPassive else {
            let message = "nothing listens on \(port) of the sandbox, which something else has to start"
            return (ServiceError(.connectionRefused, message), true)
        }
        let output = entry.output.tail.text
        if entry.wasStopped {
            let message = "the service was stopped, and has to be started again"
            return (ServiceError(.isStopped, message, exitCode: entry.exitCode, output: output), true)
        }
        if entry.status == .stopped {
            let message = "the service has ended with exit code \(entry.exitCode ?? 0)"
            return (ServiceError(.connectionRefused, message, exitCode: entry.exitCode, output: output), true)
        }
        let message = "the service runs, but nothing listens on \(port) of 127.0.0.1 yet"
        return (ServiceError(.connectionRefused, message, output: output), false)
    }

    /// Has output streams say that they are alive.
    func wakeReaders() {
        for entry in entries.values { entry.output.wakeReaders() }
    }
}

extension ServiceInfo {
    init(_ definition: ServiceDefinition) {
        self.init(id: definition.id, name: definition.name, path: definition.path, status: .stopped)
        description = definition.description
        order = definition.order
        switch definition.endpoint {
        case .http(let port): http = port
        case .https(let port): https = port
        case nil: break
        }
        urlPath = definition.urlPath
        passive = definition.isPassive ? true : nil
        problem = definition.problem
    }
}
