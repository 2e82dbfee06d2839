// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import Logging

/// Runs the hooks of the working copy, one at a time for each, and remembers how they ended.
actor HookRunner {
    /// What is told while hooks run after a turn.
    enum Progress: Sendable {
        case began(HookDefinition, files: [String])
        case ended(HookDefinition, HookRun.Result)
    }

    /// A hook that failed, of which the agent has to be told.
    struct Failure: Sendable, Equatable {
        let hook: HookDefinition
        let result: HookRun.Result
        let outputPath: String
    }

    /// How long a hook may take.
    private static let limit = Duration.seconds(300)
    /// What the environment takes of file names.
    private static let namesLimit = 100_000

    private let context: ProgramContext
    private let git: AgentGit
    private let limit: Duration
    private let store: HookStore
    private var memory: HookMemory
    private var running: Set<String> = []
    /// What pending hooks were about.
    private var pendingFiles: [String: Set<String>] = [:]
    /// Where git looks for its own hooks, when that is elsewhere.
    private var otherHooksDirectory: String?
    /// Those who wait for the session's hooks; nil when these have run.
    private var waiters: [AsyncStream<Never>.Continuation]? = []

    init(_ context: ProgramContext, git: AgentGit, limit: Duration = limit) {
        self.context = context
        self.git = git
        self.limit = limit
        store = HookStore(directory: context.directories.hooks)
        memory = store.load()
    }

    private var definitions: [HookDefinition] { HookDefinition.all(in: context.directories.workspace) }

    // MARK: - Hooks of the session

    /// Runs them once in the life of the runtime; turns wait for that. A failure is only logged.
    func runSessionHooks() async {
        await installPreCommit(definitions)
        for hook in definitions where hook.kind == .session {
            guard let result = try? await run(hook, about: []) else { break }
            if result.exitCode != 0 {
                context.logger.warning(
                    "hook failed",
                    metadata: ["hook": "\(hook.id)", "exitCode": "\(result.exitCode)"]
                )
            }
        }
        for waiter in waiters ?? [] { waiter.finish() }
        waiters = nil
    }

    /// Returns when the session's hooks have run, or the task is cancelled.
    func waitForSessionHooks() async {
        guard waiters != nil else { return }
        let (stream, continuation) = AsyncStream.makeStream(of: Never.self)
        waiters?.append(continuation)
        for await _ in stream {}
    }

    // MARK: - Hooks of files

    /// What the working copy is before a turn; nil when no hook asks.
    func stateBeforeTurn() async -> WorkingCopyState? {
        let definitions = definitions
        await installPreCommit(definitions)
        guard definitions.contains(where: { $0.kind == .file }) else { return nil }
        return try? await WorkingCopyState.read(context.directories.workspace, git)
    }

    /// Runs the hooks whose files have changed, and those that have to because one before them failed; returns the one that
    /// fails, if the agent has to be told. Throws `CancellationError`, and what `tell` throws.
    func runFileHooks(
        since before: WorkingCopyState?,
        tell: @Sendable (Progress) async throws -> Void
    ) async throws -> Failure? {
        let definitions = definitions
        await installPreCommit(definitions)
        let hooks = definitions.filter { $0.kind == .file }
        guard !hooks.isEmpty else { return nil }
        let changed = await changedFiles(since: before)
        memory.lastEvaluatedAt = .now
        let due = hooks.compactMap { hook -> (hook: HookDefinition, files: Set<String>)? in
            var files = changed.filter { hook.pattern?.matches($0) == true }
            let isPending = memory.pending.contains(hook.id)
            if isPending { files.formUnion(pendingFiles[hook.id] ?? []) }
            return isPending || !files.isEmpty ? (hook, files) : nil
        }
        for (index, (hook, files)) in due.enumerated() {
            try await tell(.began(hook, files: files.sorted()))
            let result = try await run(hook, about: files)
            try await tell(.ended(hook, result))
            guard result.exitCode != 0 else { continue }
            setPending(Array(due[index...]))
            return hook.notifiesAgent ? Failure(hook: hook, result: result, outputPath: path(of: hook.id)) : nil
        }
        setPending([])
        return nil
    }

    private func setPending(_ due: [(hook: HookDefinition, files: Set<String>)]) {
        memory.pending = due.map(\.hook.id)
        pendingFiles = Dictionary(due.map { ($0.hook.id, $0.files) }, uniquingKeysWith: { $1 })
        store.save(memory)
    }

    private func changedFiles(since before: WorkingCopyState?) async -> Set<String> {
        do {
            let now = try await WorkingCopyState.read(context.directories.workspace, git)
            return try await now.changes(since: before, in: context.directories.workspace, git)
        } catch {
            context.logger.warning("changed files are not known", metadata: ["error": "\(error)"])
            return []
        }
    }

    // MARK: - Asked for from outside

    /// All hooks that there are, as their last runs ended.
    func status() async throws -> HooksStatusResponse {
        try context.workingCopy.requireReady()
        let definitions = definitions
        await findHooksDirectory(for: definitions)
        let statuses = definitions.map { status(of: $0) }
        return HooksStatusResponse(
            hooks: Dictionary(statuses.map { ($0.hookId, $0) }, uniquingKeysWith: { first, _ in first }),
            pendingHooks: memory.pending.filter { id in statuses.contains { $0.hookId == id } },
            lastEvaluatedAt: memory.lastEvaluatedAt
        )
    }

    /// What the last run has written; empty when there was none. Throws `notFound`.
    func output(of id: String) throws -> HookOutputResponse {
        let hook = try definition(of: id)
        return HookOutputResponse(hookId: hook.id, output: store.output(of: hook.id))
    }

    /// Throws `notFound`, and `conflict` when the hook runs.
    func requireIdle(_ id: String) throws {
        let hook = try definition(of: id)
        guard !running.contains(hook.id) else { throw ServerError.conflict("the hook \(hook.id) is running") }
    }

    /// Runs a hook now. A file hook is about what has not been committed. Throws `notFound`.
    func rerun(_ id: String) async throws -> HookRunResponse {
        let hook = try definition(of: id)
        var files: Set<String> = []
        if hook.kind != .session {
            let dirty =
                (try? await WorkingCopyState.read(context.directories.workspace, git))?.files.keys.map { $0 } ?? []
            files = Set(dirty.filter { hook.pattern?.matches($0) ?? true })
        }
        let result = try await run(hook, about: files)
        if result.exitCode == 0, memory.pending.contains(hook.id) {
            memory.pending.removeAll { $0 == hook.id }
            store.save(memory)
        }
        return HookRunResponse(exitCode: result.exitCode)
    }

    private func definition(of id: String) throws -> HookDefinition {
        try context.workingCopy.requireReady()
        guard let hook = definitions.first(where: { $0.id == id }) else {
            throw ServerError.notFound("there is no hook \(id.prefix(100)) in \(HookDefinition.folder)")
        }
        return hook
    }

    // MARK: - One run

    private func run(_ hook: HookDefinition, about files: Set<String>) async throws -> HookRun.Result {
        // The same hook may have been asked for by the user.
        while running.contains(hook.id) { try await Task.sleep(for: .milliseconds(50)) }
        running.insert(hook.id)
        defer { running.remove(hook.id) }
        memory.begin(remembered(hook))
        store.save(memory)
        do {
            let result = try await HookRun(
                hook: hook,
                command: command(hook, files),
                outputPath: path(of: hook.id),
                strays: context.strays,
                limit: limit
            ).run()
            memory.end(hook.id, exitCode: result.exitCode)
            store.save(memory)
            return result
        } catch {
            memory.forgetRun(hook.id)
            store.save(memory)
            throw error
        }
    }

    /// With the runs by git's hook, which are counted elsewhere.
    private func status(of hook: HookDefinition) -> HookStatus {
        var status = remembered(hook)
        guard hook.kind == .preCommit else { return status }
        store.addCommits(to: &status)
        if let directory = otherHooksDirectory, status.problem == nil {
            status.problem = "git looks for hooks in \(directory) (core.hooksPath); run \(hook.path) from the one there"
        }
        return status
    }

    private func findHooksDirectory(for definitions: [HookDefinition]) async {
        guard definitions.contains(where: { $0.kind == .preCommit }) else { return }
        otherHooksDirectory = await PreCommitHook.otherDirectory(context)
    }

    private func remembered(_ hook: HookDefinition) -> HookStatus {
        var status =
            memory.hooks[hook.id]
            ?? HookStatus(hookId: hook.id, hookName: hook.name, type: hook.kind, outputPath: path(of: hook.id))
        status.hookName = hook.name
        status.type = hook.kind
        status.outputPath = path(of: hook.id)
        status.problem = hook.problem
        return status
    }

    private func path(of id: String) -> String { store.outputPath(of: id) }

    private func command(_ hook: HookDefinition, _ files: Set<String>) -> AgentProcess.Command {
        let variables = [
            "DISCOBOT_HOOK_TYPE": hook.kind.rawValue, "DISCOBOT_CHANGED_FILES": Self.names(files),
        ]
        var command = context.command(hook.path, variables)
        command.mergesErrors = true
        return command
    }

    /// One in each line, as many as fit.
    private static func names(_ files: Set<String>) -> String {
        var text = ""
        for file in files.sorted() where !file.utf8.contains(0) {
            guard text.utf8.count + file.utf8.count < namesLimit else { break }
            text += text.isEmpty ? file : "\n\(file)"
        }
        return text
    }

    private func installPreCommit(_ definitions: [HookDefinition]) async {
        await findHooksDirectory(for: definitions)
        let isRead = otherHooksDirectory == nil
        let hooks = definitions.filter { $0.kind == .preCommit && $0.problem == nil && isRead }
        do {
            try PreCommitHook(directories: context.directories, sessionID: context.sessionID, store: store).install(
                hooks
            )
        } catch {
            context.logger.warning("git's hook could not be installed", metadata: ["error": "\(error)"])
        }
    }
}
