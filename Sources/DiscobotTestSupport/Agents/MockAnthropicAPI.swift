// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization

/// Anthropic's Messages API with a model that does what the user's text says; see `AnthropicScript`.
///
/// On a loopback port of its own, and as the real one streams its answers.
package final class MockAnthropicAPI: Sendable {
    /// One request for a message.
    package struct Call: Sendable {
        package let body: JSON
        package let apiKey: String?

        /// The texts and the results of tools that it carries, one after another.
        package var conversation: String {
            body["messages"].list.filter { $0["role"].string != "system" }
                .flatMap { AnthropicScript.texts(of: $0) }.joined(separator: "\n")
        }
    }

    private struct State {
        var port = 0
        var calls: [Call] = []
        var failures: [String: Int] = [:]
        var messages = 0
    }

    private let state = Mutex(State())
    private let gate = Gate()

    /// What agents are told as `ANTHROPIC_BASE_URL`.
    package var url: String { "http://127.0.0.1:\(state.withLock { $0.port })" }
    /// The requests for messages so far.
    package var calls: [Call] { state.withLock { $0.calls } }

    /// Lets all answers go on that wait at a `HOLD`, now and from now on.
    package func release() {
        gate.open()
    }

    /// Runs `body` beside the API.
    package static func with<Value: Sendable>(
        _ body: @escaping @Sendable (MockAnthropicAPI) async throws -> Value
    ) async throws -> Value {
        let mock = MockAnthropicAPI()
        var logger = Logger(label: "mock", factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = .critical
        let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
        let application = Application(
            router: mock.router,
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { continuation.yield($0.localAddress?.port ?? 0) },
            logger: logger
        )
        let group = ServiceGroup(configuration: .init(services: [application], logger: logger))
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                defer { continuation.finish() }
                try await group.run()
            }
            for await port in ports {
                mock.state.withLock { $0.port = port }
                let result: Result<Value, any Error>
                do {
                    result = .success(try await body(mock))
                } catch {
                    result = .failure(error)
                }
                mock.release()
                await group.triggerGracefulShutdown()
                try await tasks.waitForAll()
                return try result.get()
            }
            try await tasks.waitForAll()
            throw Shell.Failed(description: "the mock of the API did not start")
        }
    }

    private var router: Router<BasicRequestContext> {
        let router = Router()
        router.head("/") { _, _ in HTTPResponse.Status.ok }
        router.post("/v1/messages") { request, _ in try await self.answer(request) }
        router.post("/v1/messages/count_tokens") { _, _ in Self.json(.ok, #"{"input_tokens":10}"#) }
        return router
    }

    private func answer(_ request: Request) async throws -> Response {
        let buffer = try await request.body.collect(upTo: 64 << 20)
        let body = JSON(Data(buffer.readableBytesView))
        let call = Call(body: body, apiKey: HTTPField.Name("x-api-key").flatMap { request.headers[$0] })
        let number = state.withLock { state in
            state.calls.append(call)
            state.messages += 1
            return state.messages
        }
        let script = AnthropicScript(body)
        if let failure = script.failure, isToFail(script.text, failure.times) {
            return Self.json(HTTPResponse.Status(code: failure.status), Self.error(failure.status))
        }
        let answer = AnthropicAnswer(id: "msg_\(number)", model: body["model"].string ?? "", blocks: script.blocks)
        let gate = gate
        return Response(
            status: .ok,
            headers: [.contentType: "text/event-stream"],
            body: ResponseBody { writer in
                for piece in answer.pieces {
                    switch piece {
                    case .event(let text): try await writer.write(ByteBuffer(string: text))
                    case .hold: await gate.wait()
                    case .breakOff: throw Shell.Failed(description: "the stream breaks off")
                    }
                }
                try await writer.finish(nil)
            }
        )
    }

    /// Whether the text's request is one of the first ones, which are to fail.
    private func isToFail(_ text: String, _ times: Int) -> Bool {
        state.withLock { state in
            state.failures[text, default: 0] += 1
            return state.failures[text, default: 0] <= times
        }
    }

    private static func json(_ status: HTTPResponse.Status, _ text: String) -> Response {
        Response(
            status: status,
            headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text))
        )
    }

    private static func error(_ status: Int) -> String {
        let (type, message) =
            switch status {
            case 401: ("authentication_error", "invalid x-api-key")
            case 403: ("permission_error", "not allowed")
            case 429: ("rate_limit_error", "too many requests")
            case 529: ("overloaded_error", "overloaded")
            default: ("api_error", "internal server error")
            }
        return #"{"type":"error","error":{"type":"\#(type)","message":"\#(message)"}}"#
    }
}

/// What waits until it is opened, once and for all.
private final class Gate: Sendable {
    private let waiters = Mutex<[CheckedContinuation<Void, Never>]?>([])

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = waiters.withLock { waiters in
                waiters?.append(continuation)
                return waiters == nil
            }
            if isOpen { continuation.resume() }
        }
    }

    func open() {
        let waiting = waiters.withLock { waiters in
            defer { waiters = nil }
            return waiters ?? []
        }
        for continuation in waiting { continuation.resume() }
    }
}
