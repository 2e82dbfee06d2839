// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import HTTPTypes
import Hummingbird
import NIOCore

/// The hooks of the session.
struct HookRoutes: Sendable {
    let hooks: HookRunner
    let keepAlive: Duration

    var routes: [AgentRoute] {
        [
            AgentRoute(method: .get, path: "/hooks/status") { _, _ in try .json(await hooks.status()) },
            AgentRoute(method: .get, path: "/hooks/{id}/output") { _, context in
                try .json(await hooks.output(of: context.parameters.require("id")))
            },
            AgentRoute(method: .post, path: "/hooks/{id}/rerun", handler: rerun),
        ]
    }

    private enum News: Sendable {
        case keepAlive
        case result(HookRunResponse?)
    }

    /// A hook may take longer than callers wait for a silent answer, so this one begins with spaces, which JSON allows.
    private func rerun(_ request: Request, _ context: AppRequestContext) async throws -> Response {
        let id = try context.parameters.require("id")
        try await hooks.requireIdle(id)
        return Response(
            status: .ok,
            headers: [.contentType: "application/json; charset=utf-8"],
            body: ResponseBody { writer in
                for await news in news(of: id) {
                    switch news {
                    case .keepAlive: try await writer.write(ByteBuffer(string: " "))
                    case .result(let result):
                        let result = result ?? HookRunResponse(exitCode: 126)
                        try await writer.write(ByteBuffer(bytes: try JSONEncoding.bytes(of: result)))
                    }
                }
                try await writer.finish(nil)
            }
        )
    }

    private func news(of id: String) -> AsyncStream<News> {
        let (stream, continuation) = AsyncStream.makeStream(of: News.self, bufferingPolicy: .bufferingNewest(2))
        // Ends with the hook, which has a time limit, whether somebody still waits for it or not.
        Task {
            continuation.yield(.result(try? await hooks.rerun(id)))
            continuation.finish()
        }
        // Ends with the one before.
        let clock = Task {
            while (try? await Task.sleep(for: keepAlive)) != nil { continuation.yield(.keepAlive) }
        }
        continuation.onTermination = { _ in clock.cancel() }
        return stream
    }
}
