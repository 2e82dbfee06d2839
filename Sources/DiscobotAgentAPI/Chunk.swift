// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

/// One piece of an agent's answer: a chunk of the UI message stream protocol, version 1
/// (https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol).
package enum Chunk: Sendable, Equatable {
    case start(messageId: String)
    case textStart(id: String)
    case textDelta(id: String, delta: String)
    case textEnd(id: String)
    case reasoningStart(id: String)
    case reasoningDelta(id: String, delta: String)
    case reasoningEnd(id: String)
    case toolInputStart(toolCallId: String, toolName: String, title: String? = nil)
    case toolInputDelta(toolCallId: String, inputTextDelta: String)
    case toolInputAvailable(toolCallId: String, toolName: String, input: JSONValue, title: String? = nil)
    case toolOutputAvailable(toolCallId: String, output: JSONValue)
    case toolOutputError(toolCallId: String, errorText: String)
    case finish
    case abort(reason: String?)
    case error(errorText: String)

    /// Whether nothing follows it.
    package var isTerminal: Bool {
        switch self {
        case .finish, .abort, .error: true
        default: false
        }
    }
}

extension Chunk: Codable {
    private enum Field: String, CodingKey {
        case type, messageId, id, delta
        case toolCallId, toolName, title, dynamic, inputTextDelta, input, output, errorText, reason
    }

    private enum Kind: String, Codable {
        case start, finish, abort, error
        case textStart = "text-start"
        case textDelta = "text-delta"
        case textEnd = "text-end"
        case reasoningStart = "reasoning-start"
        case reasoningDelta = "reasoning-delta"
        case reasoningEnd = "reasoning-end"
        case toolInputStart = "tool-input-start"
        case toolInputDelta = "tool-input-delta"
        case toolInputAvailable = "tool-input-available"
        case toolOutputAvailable = "tool-output-available"
        case toolOutputError = "tool-output-error"
    }

    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Field.self)
        func text(_ field: Field) throws -> String { try fields.decode(String.self, forKey: field) }
        switch try fields.decode(Kind.self, forKey: .type) {
        case .start: self = .start(messageId: try text(.messageId))
        case .textStart: self = .textStart(id: try text(.id))
        case .textDelta: self = .textDelta(id: try text(.id), delta: try text(.delta))
        case .textEnd: self = .textEnd(id: try text(.id))
        case .reasoningStart: self = .reasoningStart(id: try text(.id))
        case .reasoningDelta: self = .reasoningDelta(id: try text(.id), delta: try text(.delta))
        case .reasoningEnd: self = .reasoningEnd(id: try text(.id))
        case .toolInputStart:
            self = .toolInputStart(
                toolCallId: try text(.toolCallId),
                toolName: try text(.toolName),
                title: try fields.decodeIfPresent(String.self, forKey: .title)
            )
        case .toolInputDelta:
            self = .toolInputDelta(toolCallId: try text(.toolCallId), inputTextDelta: try text(.inputTextDelta))
        case .toolInputAvailable:
            self = .toolInputAvailable(
                toolCallId: try text(.toolCallId),
                toolName: try text(.toolName),
                input: try fields.decode(JSONValue.self, forKey: .input),
                title: try fields.decodeIfPresent(String.self, forKey: .title)
            )
        case .toolOutputAvailable:
            self = .toolOutputAvailable(
                toolCallId: try text(.toolCallId),
                output: try fields.decode(JSONValue.self, forKey: .output)
            )
        case .toolOutputError:
            self = .toolOutputError(toolCallId: try text(.toolCallId), errorText: try text(.errorText))
        case .finish: self = .finish
        case .abort: self = .abort(reason: try fields.decodeIfPresent(String.self, forKey: .reason))
        case .error: self = .error(errorText: try text(.errorText))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: Field.self)
        switch self {
        case .start(let messageId):
            try fields.encode(Kind.start, forKey: .type)
            try fields.encode(messageId, forKey: .messageId)
        case .textStart(let id): try encode(.textStart, id, to: &fields)
        case .textDelta(let id, let delta): try encode(.textDelta, id, delta, to: &fields)
        case .textEnd(let id): try encode(.textEnd, id, to: &fields)
        case .reasoningStart(let id): try encode(.reasoningStart, id, to: &fields)
        case .reasoningDelta(let id, let delta): try encode(.reasoningDelta, id, delta, to: &fields)
        case .reasoningEnd(let id): try encode(.reasoningEnd, id, to: &fields)
        case .toolInputStart, .toolInputDelta, .toolInputAvailable, .toolOutputAvailable, .toolOutputError:
            try encodeTool(to: &fields)
        case .finish: try fields.encode(Kind.finish, forKey: .type)
        case .abort(let reason):
            try fields.encode(Kind.abort, forKey: .type)
            try fields.encodeIfPresent(reason, forKey: .reason)
        case .error(let errorText):
            try fields.encode(Kind.error, forKey: .type)
            try fields.encode(errorText, forKey: .errorText)
        }
    }

    private func encode(
        _ kind: Kind,
        _ id: String,
        _ delta: String? = nil,
        to fields: inout KeyedEncodingContainer<Field>
    ) throws {
        try fields.encode(kind, forKey: .type)
        try fields.encode(id, forKey: .id)
        try fields.encodeIfPresent(delta, forKey: .delta)
    }

    /// Tools are not known beforehand, which the protocol calls dynamic; it has no such mark on input deltas.
    private func encodeTool(to fields: inout KeyedEncodingContainer<Field>) throws {
        func begin(_ kind: Kind, _ toolCallId: String, isDynamic: Bool = true) throws {
            try fields.encode(kind, forKey: .type)
            try fields.encode(toolCallId, forKey: .toolCallId)
            if isDynamic { try fields.encode(true, forKey: .dynamic) }
        }
        switch self {
        case .toolInputStart(let id, let name, let title):
            try begin(.toolInputStart, id)
            try fields.encode(name, forKey: .toolName)
            try fields.encodeIfPresent(title, forKey: .title)
        case .toolInputDelta(let id, let delta):
            try begin(.toolInputDelta, id, isDynamic: false)
            try fields.encode(delta, forKey: .inputTextDelta)
        case .toolInputAvailable(let id, let name, let input, let title):
            try begin(.toolInputAvailable, id)
            try fields.encode(name, forKey: .toolName)
            try fields.encode(input, forKey: .input)
            try fields.encodeIfPresent(title, forKey: .title)
        case .toolOutputAvailable(let id, let output):
            try begin(.toolOutputAvailable, id)
            try fields.encode(output, forKey: .output)
        case .toolOutputError(let id, let errorText):
            try begin(.toolOutputError, id)
            try fields.encode(errorText, forKey: .errorText)
        default: break
        }
    }
}

/// The place of a chunk: the `id:` of its frame, `<completion>:<sequence>`. The first chunk of a completion has number 1.
package struct ChunkID: Sendable, Equatable, CustomStringConvertible {
    /// No answer has so many chunks, and one more is still a number.
    private static let maximum = 1 << 53

    package let completion: String
    package let sequence: Int

    package init(completion: String, sequence: Int) {
        self.completion = completion
        self.sequence = sequence
    }

    /// Nil for a text that no frame has as its id.
    package init?(_ text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":"), colon > text.startIndex,
            let sequence = Int(text[text.index(after: colon)...]), (0...Self.maximum).contains(sequence)
        else { return nil }
        self.init(completion: String(text[..<colon]), sequence: sequence)
    }

    package var description: String { "\(completion):\(sequence)" }
}
