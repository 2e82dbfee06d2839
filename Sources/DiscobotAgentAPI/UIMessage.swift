// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

/// A message of a conversation as clients see it (`UIMessage` of the AI SDK).
package struct UIMessage: Sendable, Equatable, Codable {
    package enum Role: String, Sendable, Codable {
        case user, assistant, system
    }

    package var id: String
    package var role: Role
    package var parts: [MessagePart]
    package var createdAt: Timestamp?

    package init(id: String, role: Role, parts: [MessagePart], createdAt: Timestamp? = nil) {
        self.id = id
        self.role = role
        self.parts = parts
        self.createdAt = createdAt
    }

    /// The text parts, one after another on lines of their own.
    package var text: String {
        parts.compactMap { if case .text(let text) = $0 { text } else { nil } }.joined(separator: "\n")
    }
}

/// A part of a message.
package enum MessagePart: Sendable, Equatable {
    case text(String)
    case reasoning(String)
    case file(url: String, filename: String?, mediaType: String)
    case dynamicTool(ToolPart)
    /// A kind that is only passed on.
    case other(JSONValue)
}

/// The use of a tool, as far as it has come.
package struct ToolPart: Sendable, Equatable, Codable {
    package enum State: String, Sendable, Codable {
        case inputStreaming = "input-streaming"
        case inputAvailable = "input-available"
        case outputAvailable = "output-available"
        case outputError = "output-error"
    }

    package let toolCallId: String
    package var toolName: String
    package var title: String?
    package var state: State
    package var input: JSONValue?
    package var output: JSONValue?
    package var errorText: String?

    package init(toolCallId: String, toolName: String, title: String? = nil, state: State = .inputStreaming) {
        self.toolCallId = toolCallId
        self.toolName = toolName
        self.title = title
        self.state = state
    }
}

extension MessagePart: Codable {
    private enum Field: String, CodingKey {
        case type, text, url, filename, mediaType
    }

    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Field.self)
        switch try fields.decode(String.self, forKey: .type) {
        case "text": self = .text(try fields.decode(String.self, forKey: .text))
        case "reasoning": self = .reasoning(try fields.decode(String.self, forKey: .text))
        case "file":
            self = .file(
                url: try fields.decode(String.self, forKey: .url),
                filename: try fields.decodeIfPresent(String.self, forKey: .filename),
                mediaType: try fields.decode(String.self, forKey: .mediaType)
            )
        case "dynamic-tool": self = .dynamicTool(try ToolPart(from: decoder))
        default: self = .other(try JSONValue(from: decoder))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        switch self {
        case .other(let value): return try value.encode(to: encoder)
        case .dynamicTool(let tool): return try TypedTool(tool).encode(to: encoder)
        default: break
        }
        var fields = encoder.container(keyedBy: Field.self)
        switch self {
        case .text(let text):
            try fields.encode("text", forKey: .type)
            try fields.encode(text, forKey: .text)
        case .reasoning(let text):
            try fields.encode("reasoning", forKey: .type)
            try fields.encode(text, forKey: .text)
        case .file(let url, let filename, let mediaType):
            try fields.encode("file", forKey: .type)
            try fields.encode(url, forKey: .url)
            try fields.encodeIfPresent(filename, forKey: .filename)
            try fields.encode(mediaType, forKey: .mediaType)
        case .dynamicTool, .other: break
        }
    }

    /// A tool with its type, in one object: encoders need not put the members of two containers together.
    private struct TypedTool: Encodable {
        let type = "dynamic-tool"
        let toolCallId: String
        let toolName: String
        let title: String?
        let state: ToolPart.State
        let input: JSONValue?
        let output: JSONValue?
        let errorText: String?

        init(_ tool: ToolPart) {
            toolCallId = tool.toolCallId
            toolName = tool.toolName
            title = tool.title
            state = tool.state
            input = tool.input
            output = tool.output
            errorText = tool.errorText
        }
    }
}
