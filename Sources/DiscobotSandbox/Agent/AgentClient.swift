// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
package import DiscobotAgentAPI
package import DiscobotModel
import DiscobotTunnel
import FoundationEssentials
import NIOCore
import NIOHTTP1

/// Talks to the agent API of one sandbox. Everything throws `AgentError`.
package struct AgentClient: Sendable {
    let endpoint: AgentEndpoint
    let secret: AgentSecret
    private let baseURL: String
    /// Asked for with each call, as clients of sandboxes that are gone must not bring them back.
    private let http: @Sendable () -> HTTPClient

    package init(endpoint: AgentEndpoint, secret: AgentSecret) {
        self.init(endpoint, secret) { AgentConnections.to(endpoint).usual }
    }

    /// Runs `body` with a client that has its own connections, and takes an agent that sends nothing for `silence` for
    /// dead.
    package static func with<Value>(
        endpoint: AgentEndpoint,
        secret: AgentSecret,
        silence: Duration,
        _ body: (AgentClient) async throws -> Value
    ) async throws -> Value {
        let http = AgentConnections.makeClient(silence: TimeAmount(silence))
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(AgentClient(endpoint, secret) { http }))
        } catch {
            result = .failure(error)
        }
        try await http.shutdown()
        return try result.get()
    }

    private init(_ endpoint: AgentEndpoint, _ secret: AgentSecret, _ http: @escaping @Sendable () -> HTTPClient) {
        baseURL =
            switch endpoint.address {
            case .unixSocket(let path): "http+unix://\(path.percentEncoded)"
            case .tcp(let host, let port): "http://\(host):\(port)"
            }
        self.endpoint = endpoint
        self.secret = secret
        self.http = http
    }

    package func health() async throws -> AgentHealth {
        try await call(.GET, "/health", timeout: .seconds(15))
    }

    /// The health as soon as the preparation of the working copy has ended or failed, after a few seconds at the latest.
    package func settledHealth() async throws -> AgentHealth {
        try await call(.GET, "/health?wait=5", timeout: .seconds(20))
    }

    /// Starts a completion; one that is known by its id goes on or stays ended.
    ///
    /// - Parameters:
    ///   - credentials: what the agent's environment holds during this turn.
    ///   - identity: headers that say who commits.
    package func start(
        _ request: StartRequest,
        credentials: [CredentialVariable],
        identity: [(String, String)] = []
    ) async throws -> CompletionResponse {
        var headers = identity
        if !credentials.isEmpty {
            headers.append(
                (AgentHeader.credentials, String(decoding: try JSONEncoder().encode(credentials), as: UTF8.self))
            )
        }
        return try await call(.POST, "/chat", body: request, headers: headers)
    }

    package func status() async throws -> ChatStatus {
        try await call(.GET, "/chat/status")
    }

    /// Stops a completion, or whatever runs; throws an error of status 409 when that does not run.
    package func cancel(_ completion: String? = nil) async throws -> CompletionResponse {
        try await call(.POST, "/chat/cancel", body: CancelRequest(completionId: completion))
    }

    /// - Parameter toolUseID: nil for the question that is pending now.
    package func question(_ toolUseID: String?) async throws -> QuestionResponse {
        try await call(.GET, "/chat/question" + (toolUseID.map { "?toolUseID=\($0.percentEncoded)" } ?? ""))
    }

    /// Throws an error of status 404 when nobody asks.
    package func answer(_ answer: AnswerRequest) async throws {
        let _: Ignored = try await call(.POST, "/chat/answer", body: answer)
    }

    package func models(of agentType: String) async throws -> [AgentModel] {
        let response: ModelsResponse = try await call(.GET, "/models?agentType=\(agentType.percentEncoded)")
        return response.models
    }

    package func user() async throws -> AgentUser {
        try await call(.GET, "/user")
    }

    /// Copies what the working copy shares with the workspace's repository, which may then go.
    package func detach() async throws {
        let _: Ignored = try await call(.POST, "/workspace/detach", timeout: .seconds(600))
    }

    /// Gives `handle` the chunks of a completion after number `sequence` as they come, in batches of what has come at
    /// once, none twice and none left out; returns at the end of the completion.
    ///
    /// Throws `AgentError` when the agent breaks off, and the `ServerError` that `handle` throws.
    package func follow(
        _ completion: String,
        after sequence: Int,
        handle: (ChunkBatch) async throws -> Void
    ) async throws {
        var request = request(.GET, "/chat?completionId=\(completion.percentEncoded)")
        request.headers.add(name: "Accept", value: "text/event-stream")
        if sequence > 0 {
            let id = ChunkID(completion: completion, sequence: sequence)
            request.headers.add(name: "Last-Event-ID", value: id.description)
        }
        let response = try await execute(request, deadline: .distantFuture)
        guard response.status == .ok else { throw await AgentError(response) }
        var frames = AgentFrames(after: sequence)
        do {
            for try await buffer in response.body {
                if let batch = try frames.read(buffer.readableBytesView) { try await handle(batch) }
                if frames.isDone { return }
            }
        } catch  where !(error is AgentError || error is ServerError || error is CancellationError) {
            throw Self.unreachable(error, otherwise: Self.brokenOff.message)
        }
        throw Self.brokenOff
    }

    static let brokenOff = AgentError(.unreachable, "the sandbox's agent broke off its answer")

    /// Says when an agent was silent for too long: its process may hang, or its machine.
    static func unreachable(_ error: any Error, otherwise message: String) -> AgentError {
        let isSilent = (error as? HTTPClientError) == .readTimeout || (error as? HTTPClientError) == .deadlineExceeded
        return AgentError(.unreachable, isSilent ? "the sandbox's agent hangs: it is silent" : message, cause: error)
    }

    struct Ignored: Decodable {}

    func call<Value: Decodable>(
        _ method: HTTPMethod,
        _ path: String,
        timeout: TimeAmount = .seconds(30),
        limit: Int = maximumAnswer
    ) async throws -> Value {
        try await value(request(method, path), timeout: timeout, limit: limit)
    }

    /// Bytes of an answer, where not said otherwise.
    static let maximumAnswer = 16 << 20

    func call<Value: Decodable>(
        _ method: HTTPMethod,
        _ path: String,
        body: some Encodable,
        headers: [(String, String)] = [],
        timeout: TimeAmount = .seconds(30)
    ) async throws -> Value {
        var request = request(method, path)
        request.headers.add(contentsOf: headers)
        request.headers.add(name: "Content-Type", value: "application/json")
        let encoder = JSONEncoder()
        // Text of nothing but slashes would be twice as long.
        encoder.outputFormatting = .withoutEscapingSlashes
        request.body = .bytes(ByteBuffer(bytes: try encoder.encode(body)))
        return try await value(request, timeout: timeout, limit: Self.maximumAnswer)
    }

    func request(_ method: HTTPMethod, _ path: String) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: baseURL + path)
        request.method = method
        request.headers.add(name: "Host", value: "agent")
        request.headers.add(name: "Authorization", value: "Bearer \(secret.value)")
        return request
    }

    /// An answer whose body is read as it comes; throws what the agent refuses.
    func stream(_ method: HTTPMethod, _ path: String, timeout: TimeAmount) async throws -> HTTPClientResponse {
        let response = try await execute(request(method, path), deadline: .now() + timeout)
        guard (200..<300).contains(response.status.code) else { throw await AgentError(response) }
        return response
    }

    private func value<Value: Decodable>(
        _ request: HTTPClientRequest,
        timeout: TimeAmount,
        limit: Int
    ) async throws -> Value {
        let response = try await execute(request, deadline: .now() + timeout)
        guard (200..<300).contains(response.status.code) else { throw await AgentError(response) }
        do {
            let body = try await response.body.collect(upTo: limit)
            return try JSONDecoder().decode(Value.self, from: Data(body.readableBytesView))
        } catch let error as DecodingError {
            throw AgentError(.invalidAnswer, "the sandbox's agent answered something unreadable", cause: error)
        } catch {
            throw Self.unreachable(error, otherwise: Self.brokenOff.message)
        }
    }

    func execute(_ request: HTTPClientRequest, deadline: NIODeadline) async throws -> HTTPClientResponse {
        try await takeSocket()
        do {
            return try await http().execute(request, deadline: deadline)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw Self.unreachable(error, otherwise: Self.silent.message)
        }
    }

    /// Before each connection, as a runtime that has begun since has a new one.
    func takeSocket() async throws {
        guard case .sandboxSocket(let socket) = endpoint else { return }
        do {
            try await socket.take()
        } catch let error as SandboxError {
            throw AgentError(.unreachable, error.message, cause: error)
        }
        // A look takes a hundredth of what it takes to try, and who waits for a runtime to begin looks often.
        guard socket.isThere else { throw Self.silent }
    }

    private static let silent = AgentError(.unreachable, "the sandbox's agent does not answer")

    /// For calls during which an agent may say nothing for long.
    var patient: AgentClient {
        let endpoint = endpoint
        return AgentClient(endpoint, secret) { AgentConnections.to(endpoint).patient }
    }
}

/// Why a call to an agent failed.
package struct AgentError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// Nobody answers, or no longer.
        case unreachable
        case invalidAnswer
        /// The answer has more bytes than are taken.
        case tooLarge
        /// There is no room here for the answer.
        case storageFull
        /// The agent refused, with an HTTP status.
        case refused(status: Int)
    }

    package let code: Code
    /// May be shown to users.
    package let message: String
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    init(_ response: HTTPClientResponse) async {
        self.init(status: response.status, body: try? await response.body.collect(upTo: 64 << 10))
    }

    init(status: HTTPResponseStatus, body: ByteBuffer?) {
        /// `error` is a word for programs where there is a message besides.
        struct Body: Decodable {
            let error: String
            let message: String?
        }
        let answer = body.flatMap { try? JSONDecoder().decode(Body.self, from: Data($0.readableBytesView)) }
        let message = answer?.message ?? answer?.error
        self.init(
            .refused(status: Int(status.code)),
            message ?? "the sandbox's agent answered with status \(status.code)"
        )
    }

    package var description: String { cause.map { "\(message) (\($0))" } ?? message }
}
