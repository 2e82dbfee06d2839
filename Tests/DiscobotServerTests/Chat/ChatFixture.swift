// SPDX-License-Identifier: Apache-2.0

import DiscobotStore
import DiscobotTestSupport
import Foundation
import Synchronization
import Testing

/// What runs the sandboxes of a test.
enum SessionProvider: String, CaseIterable, Sendable {
    case local, docker
}

/// A server as a process of its own, with an agent and a workspace.
final class ChatFixture: Sendable {
    struct Setting: Sendable {
        var agent = "shell"
        var network = "none"
        var provider = SessionProvider.local
        /// Of the provider `docker`; nil for the one that tests share.
        var engine: DockerEngine?
        var environment: [String: String] = [:]
        /// Runs the server, whose path is its last argument.
        var command: [String] = []
    }

    let directory: TemporaryDirectory
    let client: TestClient
    /// The workspace's repository.
    let repository: String
    let workspace: String
    let agent: String
    /// Where the provider has its files, below the directory.
    let sandboxes: String
    let port: Int
    /// Of the provider `docker`.
    let engine: DockerEngine?
    private let environment: [String: String]
    private let command: [String]
    /// What the ids of this fixture's sessions begin with, and nothing else on the machine has.
    let mark: String
    private let process: Mutex<ServerProcess>
    private let lastSession = Mutex(0)

    /// Runs `body`, and checks then that the server ends in order and that nothing of its sessions is left.
    static func with(
        _ setting: Setting = Setting(),
        prepare: (TemporaryDirectory) async throws -> [String: String] = { _ in [:] },
        _ body: (ChatFixture) async throws -> Void
    ) async throws {
        try await TemporaryDirectory.with { directory in
            var setting = setting
            if setting.provider == .docker {
                let engine = if let own = setting.engine { own } else { try await DockerEngine.shared() }
                setting.engine = engine
                let usual = ["DOCKER_HOST": engine.host, "SANDBOX_IMAGE": DockerEngine.image]
                setting.environment.merge(usual) { own, _ in own }
            }
            setting.environment.merge(try await prepare(directory)) { $1 }
            let fixture = try await ChatFixture(directory, setting)
            // One that ran out of time does not get to its end.
            defer { fixture.server.kill() }
            let result: Result<Void, any Error>
            do { result = .success(try await body(fixture)) } catch { result = .failure(error) }
            try await fixture.end()
            try result.get()
        }
    }

    private init(_ directory: TemporaryDirectory, _ setting: Setting) async throws {
        self.directory = directory
        environment = setting.environment
        command = setting.command
        engine = setting.engine
        sandboxes = setting.provider == .docker ? "data/sandboxes/docker" : "data/sandboxes"
        mark = "t" + UUID().uuidString.prefix(8).lowercased()
        port = try ServerProcess.freePort()
        let server = try await ServerProcess(in: directory, port: port, environment: environment, command: command)
        client = server.client
        process = Mutex(server)
        repository = try await directory.makeRepository()
        workspace = try await client.makeChatWorkspace(
            repository,
            network: setting.network,
            provider: setting.provider.rawValue
        )
        agent = try await client.makeAgent(setting.agent)
    }

    /// What the servers have written.
    var log: String {
        get throws { try String(contentsOfFile: directory.file("server.log"), encoding: .utf8) }
    }

    /// The server that runs now.
    var server: ServerProcess { process.withLock { $0 } }

    /// Starts the next server, once the one before it has ended, with more settings if need be.
    func startServer(_ more: [String: String] = [:]) async throws {
        let server = try await ServerProcess(
            in: directory,
            port: port,
            environment: environment.merging(more) { $1 },
            command: command
        )
        process.withLock { $0 = server }
    }

    func restartServer() async throws {
        server.kill()
        try await startServer()
    }

    /// Runs `body` with the store of the server, which must not run.
    func withStore<Value: Sendable>(_ body: (Store) async throws -> Value) async throws -> Value {
        let store = try await Store(try await SQLiteDatabase(path: directory.file("data/discobot.db")))
        let result: Result<Value, any Error>
        do { result = .success(try await body(store)) } catch { result = .failure(error) }
        await store.close()
        return try result.get()
    }

    /// The id of a session that does not exist yet; its first message makes it.
    func newSession() -> String {
        let number = lastSession.withLock { number in
            number += 1
            return number
        }
        return "\(mark)-\(number)"
    }

    private func end() async throws {
        if !server.isRunning { try await startServer() }
        for session in try await client.get("/api/projects/local/sessions").json["sessions"].list {
            try await client.removeSession(session["id"].string ?? "")
        }
        // Those of a removed workspace are removed by jobs that nobody sees.
        let sessions = sandboxes + "/sessions"
        let deadline = ContinuousClock.now + .seconds(240)
        while ContinuousClock.now < deadline, directory.exists(sessions), try directory.contents(sessions) != [] {
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(await server.terminate() == 0)
        try await expectNothingLeft()
    }
}

/// An answer that cannot be gone on with.
struct BadStatus: Error {
    let status: Int
    let position: String?
}

// MARK: - Talking

extension ChatFixture {
    static let chat = "/api/projects/local/chat"

    /// A script that prints the numbers up to `count`, with a pause of some milliseconds after each.
    static func numbers(_ count: Int, pause: Int = 10) -> String {
        let seconds = "0." + String(1000 + pause).dropFirst()
        return "exec 9<> <(:); for ((i = 1; i <= \(count); i++)); do echo $i; read -rt \(seconds) -u 9; done"
    }

    /// What such a script prints.
    static func printed(_ count: Int) -> String { (1...count).map { "\($0)\n" }.joined() }

    func message(
        _ text: String,
        in session: String,
        id: String = UUID().uuidString,
        mode: String? = nil
    ) -> String {
        TestClient.message(text, session: session, id: id, workspace: workspace, agent: agent, mode: mode)
    }

    /// Sends a message and reads the answer to its end, over as many connections as that takes.
    ///
    /// - Parameters:
    ///   - progress: told of each frame.
    ///   - drop: how many frames to read before the connection is dropped; nil to read on.
    func talk(
        _ text: String,
        in session: String,
        mode: String? = nil,
        progress: Progress? = nil,
        drop: () -> Int? = { nil }
    ) async throws -> ChatAnswer {
        let body = message(text, in: session, mode: mode)
        var whole = ChatAnswer()
        progress?.begin()
        defer { progress?.end() }
        // When only the word that the answer is over was lost, there is nothing to come back for: the stream would go on
        // with the next turn.
        while !whole.isDone, !whole.hasEnded {
            let enough = drop()
            do {
                let isEnough: (ChatAnswer) -> Bool = { part in
                    progress?.step(part.frames.last)
                    return part.frames.count == enough
                }
                let part =
                    if let last = whole.lastID {
                        try await client.resume(session, after: last, until: isEnough)
                    } else {
                        try await client.chat(body, until: isEnough)
                    }
                guard part.status == 200 else {
                    throw BadStatus(status: part.status, position: whole.lastID)
                }
                whole.status = part.status
                for frame in part.frames { whole.append(frame) }
            } catch let error where !(error is BadStatus || error is CancellationError) {
                // The server is down.
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        return whole
    }

    func messages(of session: String) async throws -> [JSON] {
        try await client.get("/api/projects/local/sessions/\(session)/messages").json["messages"].list
    }

    /// Checks that a session's history is these answers, each behind the message that asked for it, and that the next
    /// message is answered.
    func expectHistory(
        of session: String,
        _ answers: [ChatAnswer],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        var answers = answers
        answers.append(try await talk("echo usable", in: session))
        #expect(answers.last?.text == "usable\n", sourceLocation: sourceLocation)
        let messages = try await messages(of: session)
        #expect(
            messages.map { $0["role"].string } == answers.flatMap { _ in ["user", "assistant"] },
            sourceLocation: sourceLocation
        )
        let stored = messages.filter { $0["role"].string == "assistant" }
        #expect(
            stored.map { $0["id"].string } == answers.map { $0.chunks.first?.json["messageId"].string },
            sourceLocation: sourceLocation
        )
        let texts = stored.map { $0["parts"].list.compactMap { $0["text"].string }.joined() }
        #expect(texts == answers.map(\.text), sourceLocation: sourceLocation)
    }
}

extension ChatAnswer {
    /// Whether the last chunk is one that ends answers.
    var hasEnded: Bool { ["finish", "abort", "error"].contains(chunks.last?.type) }

    var error: String? { chunks.last { $0.type == "error" }?.json["errorText"].string }

    /// Checks that each chunk came once and in its order, and that the chunks make an answer.
    func expectWhole(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let turn = ids.first?.split(separator: ":").first ?? ""
        #expect(ids == chunks.indices.map { "\(turn):\($0 + 1)" }, sourceLocation: sourceLocation)
        #expect(types.first == "start", sourceLocation: sourceLocation)
        #expect(hasEnded, "the answer ends with \(chunks.last?.text ?? "nothing")", sourceLocation: sourceLocation)
        let events = frames.map { "data: \($0.text)\n\n" }.joined() + (isDone ? "" : "data: [DONE]\n\n")
        #expect(
            try await ChunkStreamValidator.complaints(aboutEvents: events) == "",
            sourceLocation: sourceLocation
        )
    }

    /// Checks besides that the text is the numbers up to `count`, or the first of them when the answer ends in an error.
    func expectNumbers(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await expectWhole(sourceLocation: sourceLocation)
        let all = ChatFixture.printed(count)
        if chunks.last?.type == "finish" {
            #expect(text == all, sourceLocation: sourceLocation)
        } else {
            #expect(!text.isEmpty && all.hasPrefix(text), sourceLocation: sourceLocation)
        }
    }
}

/// How many frames of some kind clients have got; those of a client may be counted twice.
final class Progress: Sendable {
    private struct State {
        var count = 0
        var clients = 0
        var isOver = false
        var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())
    private let isCounted: @Sendable (ChatFrame) -> Bool

    init(of isCounted: @escaping @Sendable (ChatFrame) -> Bool = { _ in true }) {
        self.isCounted = isCounted
    }

    func step(_ frame: ChatFrame?) {
        guard let frame, isCounted(frame) else { return }
        change { $0.count += 1 }
    }

    /// A client begins to read.
    func begin() { change { $0.clients += 1 } }

    func end() {
        change { state in
            state.clients -= 1
            state.isOver = state.clients == 0
        }
    }

    private func change(_ edit: (inout State) -> Void) {
        let reached = state.withLock { state in
            edit(&state)
            let limit = state.isOver ? Int.max : state.count
            defer { state.waiters.removeAll { $0.count <= limit } }
            return state.waiters.filter { $0.count <= limit }
        }
        for waiter in reached { waiter.continuation.resume() }
    }

    /// Returns once there are so many, or when nobody reads any more.
    func reach(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isReached = state.withLock { state in
                guard state.count < count, !state.isOver else { return true }
                state.waiters.append((count, continuation))
                return false
            }
            if isReached { continuation.resume() }
        }
    }
}
