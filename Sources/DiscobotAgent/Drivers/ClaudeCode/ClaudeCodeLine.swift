// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import FoundationEssentials

/// What one line of the program's output says, as far as the driver needs it.
enum ClaudeCodeLine: Sendable, Equatable {
    /// The conversation's name; it comes at every turn.
    case initialized(session: String)
    case retrying(status: Int?)
    case partial(ClaudeCodePartial, isSubagent: Bool)
    case assistant(ClaudeCodeMessage, isSubagent: Bool)
    case user(ClaudeCodeMessage)
    case result(ClaudeCodeResult)
    case permission(ClaudeCodePermission)
    /// The program does not want a permission any more that it has asked for.
    case withdrawn(requestID: String)
    /// A request of a kind that is not known, which needs an answer all the same.
    case unknownRequest(id: String)
    case ignored

    /// Reads a line; what is no JSON, or of no known kind, is ignored.
    init(_ bytes: [UInt8]) {
        var data = Data(bytes)
        // A tool's output may have carried bytes that are not UTF-8.
        if String(validating: bytes, as: UTF8.self) == nil { data = Data(String(decoding: bytes, as: UTF8.self).utf8) }
        self = (try? JSONDecoder().decode(ClaudeCodeLine.self, from: data)) ?? .ignored
    }
}

extension ClaudeCodeLine: Decodable {
    private enum Field: String, CodingKey {
        case type, subtype, event, message, request
        case session = "session_id"
        case parent = "parent_tool_use_id"
        case requestID = "request_id"
        case errorStatus = "error_status"
        case isAPIError = "is_api_error_message"
    }

    private struct Request: Decodable {
        let subtype: String
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Field.self)
        func isSubagent() -> Bool { (try? fields.decode(String.self, forKey: .parent)) != nil }
        switch try fields.decode(String.self, forKey: .type) {
        case "system": self = try Self.system(fields)
        case "stream_event":
            self = .partial(try fields.decode(ClaudeCodePartial.self, forKey: .event), isSubagent: isSubagent())
        case "assistant":
            // What the program writes itself about a failed request is told by the result.
            let isError = (try? fields.decode(Bool.self, forKey: .isAPIError)) ?? false
            let message = try fields.decode(ClaudeCodeMessage.self, forKey: .message)
            self = isError ? .ignored : .assistant(message, isSubagent: isSubagent())
        case "user": self = .user(try fields.decode(ClaudeCodeMessage.self, forKey: .message))
        case "result": self = .result(try ClaudeCodeResult(from: decoder))
        case "control_request": self = try Self.request(fields)
        case "control_cancel_request":
            self = .withdrawn(requestID: try fields.decode(String.self, forKey: .requestID))
        default: self = .ignored
        }
    }

    private static func system(_ fields: KeyedDecodingContainer<Field>) throws -> ClaudeCodeLine {
        switch try fields.decode(String.self, forKey: .subtype) {
        case "init": .initialized(session: try fields.decode(String.self, forKey: .session))
        case "api_retry": .retrying(status: try? fields.decode(Int.self, forKey: .errorStatus))
        default: .ignored
        }
    }

    private static func request(_ fields: KeyedDecodingContainer<Field>) throws -> ClaudeCodeLine {
        let id = try fields.decode(String.self, forKey: .requestID)
        guard let kind = try? fields.decode(Request.self, forKey: .request), kind.subtype == "can_use_tool",
            var permission = try? fields.decode(ClaudeCodePermission.self, forKey: .request)
        else { return .unknownRequest(id: id) }
        permission.requestID = id
        return .permission(permission)
    }
}

/// A piece of a message that is being written.
enum ClaudeCodePartial: Sendable, Equatable {
    case messageStart(id: String)
    case blockStart(index: Int, ClaudeCodeMessage.Block)
    case text(index: Int, String)
    case thinking(index: Int, String)
    case toolInput(index: Int, String)
    case blockStop(index: Int)
    case ignored
}

extension ClaudeCodePartial: Decodable {
    private enum Field: String, CodingKey {
        case type, index, message, delta
        case block = "content_block"
    }

    private struct Delta: Decodable {
        let type: String
        let text: String?
        let thinking: String?
        let input: String?

        private enum CodingKeys: String, CodingKey {
            case type, text, thinking
            case input = "partial_json"
        }
    }

    private struct Start: Decodable {
        let id: String
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Field.self)
        func index() throws -> Int { try fields.decode(Int.self, forKey: .index) }
        switch try fields.decode(String.self, forKey: .type) {
        case "message_start": self = .messageStart(id: try fields.decode(Start.self, forKey: .message).id)
        case "content_block_start":
            self = .blockStart(index: try index(), try fields.decode(ClaudeCodeMessage.Block.self, forKey: .block))
        case "content_block_delta":
            self = Self.piece(try index(), try fields.decode(Delta.self, forKey: .delta))
        case "content_block_stop": self = .blockStop(index: try index())
        default: self = .ignored
        }
    }

    private static func piece(_ index: Int, _ delta: Delta) -> ClaudeCodePartial {
        switch delta.type {
        case "text_delta": .text(index: index, delta.text ?? "")
        case "thinking_delta": .thinking(index: index, delta.thinking ?? "")
        case "input_json_delta": .toolInput(index: index, delta.input ?? "")
        default: .ignored
        }
    }
}

/// A message of the model, or the results of tools as a message of the user.
struct ClaudeCodeMessage: Sendable, Equatable, Decodable {
    struct Block: Sendable, Equatable {
        var type: String
        var id: String?
        var name: String?
        var text: String?
        var input: JSONValue?
        var toolUseID: String?
        var content: JSONValue?
        var isError = false
    }

    var id: String?
    var content: [Block]

    private enum CodingKeys: CodingKey {
        case id, content
    }

    init(id: String? = nil, content: [Block]) {
        self.id = id
        self.content = content
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        id = try? fields.decode(String.self, forKey: .id)
        if let text = try? fields.decode(String.self, forKey: .content) {
            content = [Block(type: "text", text: text)]
        } else {
            content = try fields.decode([Block].self, forKey: .content)
        }
    }
}

extension ClaudeCodeMessage.Block: Decodable {
    private enum Field: String, CodingKey {
        case type, id, name, text, thinking, input, content
        case toolUseID = "tool_use_id"
        case isError = "is_error"
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Field.self)
        func text(_ field: Field) -> String? { try? fields.decode(String.self, forKey: field) }
        type = try fields.decode(String.self, forKey: .type)
        id = text(.id)
        name = text(.name)
        self.text = text(.text) ?? text(.thinking)
        input = try? fields.decode(JSONValue.self, forKey: .input)
        toolUseID = text(.toolUseID)
        content = try? fields.decode(JSONValue.self, forKey: .content)
        isError = (try? fields.decode(Bool.self, forKey: .isError)) ?? false
    }
}

/// How a turn has ended.
struct ClaudeCodeResult: Sendable, Equatable {
    var isError: Bool
    var text: String?
    var errors: [String] = []
    /// The HTTP status of the request that failed.
    var status: Int?
    var subtype: String?
}

extension ClaudeCodeResult: Decodable {
    private enum Field: String, CodingKey {
        case result, errors, subtype
        case isError = "is_error"
        case status = "api_error_status"
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Field.self)
        isError = (try? fields.decode(Bool.self, forKey: .isError)) ?? false
        text = try? fields.decode(String.self, forKey: .result)
        errors = (try? fields.decode([String].self, forKey: .errors)) ?? []
        status = try? fields.decode(Int.self, forKey: .status)
        subtype = try? fields.decode(String.self, forKey: .subtype)
    }
}
