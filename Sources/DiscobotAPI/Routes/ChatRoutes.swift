// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import DiscobotServices
import Hummingbird

/// Conversations with agents.
struct ChatRoutes: Sendable {
    let chat: ChatService

    /// Messages may carry files as data URLs.
    private static let bodyLimit = 16 << 20

    var group: EndpointGroup {
        let id = [EndpointParameter.path("sessionId")]
        let message: JSONValue = [
            "id": "my-session", "workspaceId": "", "agentId": "",
            "messages": [["id": "message-1", "role": "user", "parts": [["type": "text", "text": "ls"]]]],
        ]
        return EndpointGroup(
            name: "Chat",
            endpoints: [
                .project(.post, "/chat", "Send a message and stream the answer", body: message, use: send),
                .project(.get, "/chat/{sessionId}/stream", "Go on streaming an answer", id, use: resume),
                .project(.post, "/chat/{sessionId}/cancel", "Stop the agent", id, use: cancel),
                .project(.get, "/chat/{sessionId}/turns", "The turns that wait or run", id, use: listTurns),
                .project(
                    .post,
                    "/chat/{sessionId}/turns/{turnId}/cancel",
                    "Stop one turn",
                    id + [.path("turnId")],
                    use: cancelTurn
                ),
                .project(
                    .get,
                    "/chat/{sessionId}/question",
                    "What the agent wants to know",
                    id + [.query("toolUseID")],
                    use: question
                ),
                .project(
                    .post,
                    "/chat/{sessionId}/answer",
                    "Answer the agent's question",
                    id,
                    body: ["toolUseID": "", "answers": ["Which colour?": "Blue"]],
                    use: answer
                ),
                .project(.get, "/sessions/{sessionId}/messages", "The conversation", id, use: listMessages),
                .project(.get, "/sessions/{sessionId}/models", "The models of the agent", id, use: listModels),
            ]
        )
    }

    private struct SendRequest: Decodable {
        let id: String?
        let messages: [ReceivedMessage]?
        let workspaceId: ID<Workspace>?
        let agentId: ID<Agent>?
        let trigger: String?
        let model: String?
        let reasoning: Reasoning?
        let mode: String?

        /// The tools of an agent in an unknown mode would not ask before they are used.
        private static let modes = ["plan", "ask", "build", "auto", "default"]

        func options() throws -> Turn.Options {
            let mode = mode.flatMap { $0.isEmpty ? nil : $0 }
            guard mode.map(Self.modes.contains) ?? true else {
                throw ServerError.invalidArgument("mode must be one of: \(Self.modes.joined(separator: ", "))")
            }
            return Turn.Options(
                model: try bounded(model, "model"),
                reasoning: try bounded(reasoning?.level, "reasoning"),
                mode: mode
            )
        }
    }

    private func send(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        var request = request
        try await request.collectBody(limit: Self.bodyLimit)
        let body = try await request.body(SendRequest.self, limit: Self.bodyLimit)
        guard let messages = body.messages else { throw ServerError.invalidArgument("messages array required") }
        let id = try required(body.id, "id is required")
        guard let message = messages.last(where: { $0.message.role == .user })?.message else {
            throw ServerError.invalidArgument("messages must hold a message with the role user")
        }
        _ = try bounded(message.id, "messages: the id of a message")
        let turn = try await chat.send(
            ChatMessage(
                sessionID: ID(rawValue: id),
                message: message,
                workspaceID: body.workspaceId?.nonEmpty,
                agentID: body.agentId?.nonEmpty,
                options: try body.options(),
                asksAgain: body.trigger == "regenerate-message"
            ),
            in: project
        )
        return stream(ChunkID(completion: turn.id.rawValue, sequence: 0), to: request)
    }

    private func resume(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let last = request.raw.headers[.lastEventID].flatMap { ChunkID($0) }
        let position = try await chat.resumption(of: request.id("sessionId"), in: project, after: last)
        guard let position else { return Response(status: .noContent) }
        return stream(position, to: request)
    }

    private func cancel(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let turn = try await chat.cancel(of: request.id("sessionId"), in: project)
        return try .json(CompletionResponse(success: true, completionId: turn.rawValue, status: "cancelled"))
    }

    private func cancelTurn(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let turn = try await chat.cancel(request.id("turnId"), of: request.id("sessionId"), in: project)
        return try .json(CompletionResponse(success: true, completionId: turn.rawValue, status: "cancelled"))
    }

    private func question(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try .json(await chat.question(request.query("toolUseID"), of: request.id("sessionId"), in: project))
    }

    private struct AnswerBody: Decodable {
        let toolUseID: String?
        let answers: [String: String]?
    }

    private func answer(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let body = try await request.body(AnswerBody.self)
        let id = try required(body.toolUseID, "toolUseID is required")
        guard let answers = body.answers else { throw ServerError.invalidArgument("answers is required") }
        let answer = AnswerRequest(toolUseID: id, answers: answers)
        try await chat.answer(answer, of: request.id("sessionId"), in: project)
        return try .success()
    }

    private struct ModelListResponse: Encodable {
        struct Model: Encodable {
            let id: String
            let name: String
            let provider: String
            let reasoning: Bool
        }

        let models: [Model]
    }

    private func listModels(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let models = try await chat.models(of: request.id("sessionId"), in: project)
        return try .json(
            ModelListResponse(
                models: models.map {
                    .init(id: $0.id, name: $0.displayName, provider: $0.provider, reasoning: $0.reasoning)
                }
            )
        )
    }
}

// MARK: - Lists

extension ChatRoutes {
    private struct TurnListResponse: Encodable {
        let turns: [TurnResponse]
    }

    private struct TurnResponse: Encodable {
        let id: ID<Turn>
        let messageId: String
        let status: String
        let createdAt: Timestamp
        let startedAt: Timestamp?
    }

    private func listTurns(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let turns = try await chat.openTurns(of: request.id("sessionId"), in: project)
        return try .json(
            TurnListResponse(
                turns: turns.map {
                    TurnResponse(
                        id: $0.id,
                        messageId: $0.messageID,
                        status: $0.status.rawValue,
                        createdAt: $0.createdAt,
                        startedAt: $0.startedAt
                    )
                }
            )
        )
    }

    private struct MessageListResponse: Encodable {
        let messages: [MessageResponse]
    }

    private struct MessageResponse: Encodable {
        let id: String
        let role: String
        let parts: StoredJSON
        let metadata: StoredJSON?
        let createdAt: Timestamp
    }

    private func listMessages(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let messages = try await chat.messages(of: request.id("sessionId"), in: project)
        return try .json(
            MessageListResponse(
                messages: messages.map {
                    MessageResponse(
                        id: $0.id,
                        role: $0.role,
                        parts: StoredJSON(text: $0.parts),
                        metadata: $0.metadata.map(StoredJSON.init),
                        createdAt: $0.createdAt
                    )
                }
            )
        )
    }
}

/// A message as clients send it: one without an id gets one.
private struct ReceivedMessage: Decodable {
    let message: UIMessage

    private enum Field: String, CodingKey {
        case id, role, parts, content
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Field.self)
        let id = try fields.decodeIfPresent(String.self, forKey: .id) ?? ""
        let parts = try fields.decodeIfPresent([MessagePart].self, forKey: .parts)
        // Older clients say it in one text.
        let content = try fields.decodeIfPresent(String.self, forKey: .content)
        guard let parts = parts ?? content.map({ [.text($0)] }) else {
            throw DecodingError.keyNotFound(
                Field.parts,
                .init(codingPath: decoder.codingPath, debugDescription: "a message has parts")
            )
        }
        message = UIMessage(
            id: id.isEmpty ? "msg-\(ID<Message>.random())" : id,
            role: try fields.decode(UIMessage.Role.self, forKey: .role),
            parts: parts,
            createdAt: .now
        )
    }
}

/// How much the agent should think: a level, or just whether.
private enum Reasoning: Decodable {
    case level(String)
    case isWanted(Bool)

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if let isWanted = try? value.decode(Bool.self) {
            self = .isWanted(isWanted)
        } else {
            self = .level(try value.decode(String.self))
        }
    }

    var level: String? {
        switch self {
        case .level(let level): level.isEmpty ? nil : level
        case .isWanted(let isWanted): isWanted ? "medium" : nil
        }
    }
}

extension ID {
    fileprivate var nonEmpty: ID? { rawValue.isEmpty ? nil : self }
}
