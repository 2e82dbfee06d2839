// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import HTTPTypes
import Hummingbird

/// The conversation.
struct ChatRoutes: Sendable {
    let conversation: Conversation
    let journal: Journal

    /// Messages may carry files.
    private static let bodyLimit = 64 << 20

    var routes: [AgentRoute] {
        [
            AgentRoute(method: .get, path: "/chat", handler: get),
            AgentRoute(method: .post, path: "/chat", handler: start),
            AgentRoute(method: .delete, path: "/chat") { _, _ in
                try await conversation.forget()
                return try .success()
            },
            AgentRoute(method: .get, path: "/chat/status") { _, _ in try .json(await conversation.status) },
            AgentRoute(method: .post, path: "/chat/cancel", handler: cancel),
            AgentRoute(method: .get, path: "/chat/question") { request, _ in
                try .json(await conversation.questions.response(request.query("toolUseID")))
            },
            AgentRoute(method: .post, path: "/chat/answer", handler: answer),
        ]
    }

    private struct StartBody: Decodable {
        private enum Field: CodingKey {
            case messages
        }

        /// Nil when there are no messages.
        let request: StartRequest?

        init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: Field.self)
            let isMissing = try !fields.contains(.messages) || fields.decodeNil(forKey: .messages)
            request = isMissing ? nil : try StartRequest(from: decoder)
        }
    }

    private struct Refusal: Encodable {
        let error: String
        var completionId: String?
    }

    private func start(_ request: Request, _ context: AppRequestContext) async throws -> Response {
        let secrets = try secrets(request)
        let body = try await JSONBody.decode(StartBody.self, from: request.body, limit: Self.bodyLimit)
        guard let start = body.request, !start.messages.isEmpty else {
            throw ServerError.invalidArgument("messages array required")
        }
        switch try await conversation.start(start, secrets) {
        case .started(let completion):
            return try .json(CompletionResponse(completionId: completion, status: "started"), status: .accepted)
        case .occupied(let completion):
            return try .json(Refusal(error: "completion_in_progress", completionId: completion), status: .conflict)
        }
    }

    private func secrets(_ request: Request) throws -> TurnSecrets {
        var secrets = TurnSecrets()
        func header(_ name: String) -> String? {
            HTTPField.Name(name).flatMap { request.headers[$0] }.flatMap { $0.isEmpty ? nil : $0 }
        }
        secrets.credentials = try header(AgentHeader.credentials).map(TurnSecrets.credentials) ?? []
        secrets.gitUserName = header(AgentHeader.gitUserName)
        secrets.gitUserEmail = header(AgentHeader.gitUserEmail)
        return secrets
    }

    private func cancel(_ request: Request, _ context: AppRequestContext) async throws -> Response {
        // A body is optional.
        let body = try await JSONBody.collect(request, limit: 1 << 16)
        let wanted = try? await JSONBody.decode(CancelRequest.self, from: body.body, limit: 1 << 16)
        guard let completion = await conversation.cancel(wanted?.completionId) else {
            return try .json(Refusal(error: "no_active_completion"), status: .conflict)
        }
        return try .json(CompletionResponse(success: true, completionId: completion, status: "cancelled"))
    }

    private struct AnswerBody: Decodable {
        let toolUseID: String?
        let answers: [String: String]?
    }

    private func answer(_ request: Request, _ context: AppRequestContext) async throws -> Response {
        let body = try await JSONBody.decode(AnswerBody.self, from: request.body, limit: 1 << 20)
        guard let toolUseID = body.toolUseID, !toolUseID.isEmpty else {
            throw ServerError.invalidArgument("toolUseID is required")
        }
        guard let answers = body.answers else { throw ServerError.invalidArgument("answers is required") }
        try await conversation.questions.answer(AnswerRequest(toolUseID: toolUseID, answers: answers))
        return try .success()
    }
}
