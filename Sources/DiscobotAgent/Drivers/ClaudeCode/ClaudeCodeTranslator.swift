// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel

/// Turns the lines of one turn into chunks.
///
/// A message comes in pieces, and each of its blocks again as a whole, which is passed over unless the pieces did not
/// come. Of subagents only the tools are shown: what they say reaches the user by the agent's own words.
struct ClaudeCodeTranslator: Sendable {
    private enum Kind {
        case text, reasoning
    }

    private enum Tool {
        case started, ready, ended
    }

    private let messageID: String
    private var lastPart = 0
    /// The part that grows, of which there is one at most.
    private var open: (kind: Kind, id: String)?
    private var tools: [String: Tool] = [:]
    /// The tools of the message in pieces, by their blocks.
    private var blocks: [Int: String] = [:]
    private var streamed: String?
    private var chunks: [Chunk] = []
    /// Whether anything has been shown.
    private(set) var isEmpty = true

    /// - Parameter messageID: the answer's id, of which the ids of its parts are made.
    init(messageID: String) {
        self.messageID = messageID
    }

    mutating func translate(_ line: ClaudeCodeLine) -> [Chunk] {
        switch line {
        case .partial(let partial, isSubagent: false): add(partial)
        case .assistant(let message, let isSubagent): add(message, isSubagent: isSubagent)
        case .user(let message): for block in message.content { addResult(block) }
        case .result(let result): end(result)
        default: break
        }
        defer { chunks = [] }
        if !chunks.isEmpty { isEmpty = false }
        return chunks
    }

    private mutating func add(_ partial: ClaudeCodePartial) {
        switch partial {
        case .messageStart(let id):
            streamed = id
            cutOff()
        case .blockStart(let index, let block):
            guard block.isToolUse, let id = block.id, let name = block.name else { return close() }
            blocks[index] = id
            start(id, name)
        case .text(_, let delta): extend(.text, delta)
        case .thinking(_, let delta): extend(.reasoning, delta)
        case .toolInput(let index, let delta):
            guard let id = blocks[index], tools[id] == .started, !delta.isEmpty else { return }
            chunks.append(.toolInputDelta(toolCallId: id, inputTextDelta: delta))
        case .blockStop(let index): if blocks[index] == nil { close() }
        case .ignored: break
        }
    }

    /// A message that broke off is asked for again, as another one.
    private mutating func cutOff() {
        close()
        for id in blocks.values.sorted() where tools[id] == .started { output(id, .failure("The call was cut off")) }
        blocks = [:]
    }

    private mutating func add(_ message: ClaudeCodeMessage, isSubagent: Bool) {
        for block in message.content {
            if block.isToolUse, let id = block.id, let name = block.name {
                makeReady(id, name, block.input ?? .object([]))
            } else if block.toolUseID != nil {
                addResult(block)
            } else if !isSubagent, message.id == nil || message.id != streamed {
                addWhole(block)
            }
        }
    }

    private mutating func addWhole(_ block: ClaudeCodeMessage.Block) {
        switch block.type {
        case "text": extend(.text, block.text ?? "")
        case "thinking": extend(.reasoning, block.text ?? "")
        default: return
        }
        close()
    }

    private mutating func addResult(_ block: ClaudeCodeMessage.Block) {
        guard let id = block.toolUseID else { return }
        output(id, block.isError ? .failure(block.resultText) : .success(block.resultText))
    }

    /// What a command of the program itself answers comes with the result alone.
    private mutating func end(_ result: ClaudeCodeResult) {
        close()
        guard isEmpty, !result.isError, let text = result.text else { return }
        extend(.text, text)
        close()
    }

    // MARK: Parts

    private mutating func extend(_ kind: Kind, _ delta: String) {
        guard !delta.isEmpty else { return }
        if open?.kind != kind { close() }
        let id = open?.id ?? begin(kind)
        switch kind {
        case .text: chunks.append(.textDelta(id: id, delta: delta))
        case .reasoning: chunks.append(.reasoningDelta(id: id, delta: delta))
        }
    }

    private mutating func begin(_ kind: Kind) -> String {
        lastPart += 1
        let id = (kind == .text ? "text-" : "reasoning-") + "\(messageID)-\(lastPart)"
        open = (kind, id)
        chunks.append(kind == .text ? .textStart(id: id) : .reasoningStart(id: id))
        return id
    }

    private mutating func close() {
        guard let (kind, id) = open else { return }
        open = nil
        chunks.append(kind == .text ? .textEnd(id: id) : .reasoningEnd(id: id))
    }

    private mutating func start(_ id: String, _ name: String) {
        close()
        guard tools[id] == nil else { return }
        tools[id] = .started
        chunks.append(.toolInputStart(toolCallId: id, toolName: name))
    }

    private mutating func makeReady(_ id: String, _ name: String, _ input: JSONValue) {
        start(id, name)
        guard tools[id] == .started else { return }
        tools[id] = .ready
        chunks.append(.toolInputAvailable(toolCallId: id, toolName: name, input: input))
    }

    private enum Output {
        case success(String), failure(String)
    }

    private mutating func output(_ id: String, _ output: Output) {
        guard let tool = tools[id], tool != .ended else { return }
        close()
        tools[id] = .ended
        switch output {
        case .success(let text): chunks.append(.toolOutputAvailable(toolCallId: id, output: .string(text)))
        case .failure(let text): chunks.append(.toolOutputError(toolCallId: id, errorText: text))
        }
    }
}

extension ClaudeCodeMessage.Block {
    /// Also tools that the model's maker runs.
    var isToolUse: Bool { type == "tool_use" || type == "server_tool_use" || type == "mcp_tool_use" }

    /// The texts of a tool's result; what is no text is only named.
    var resultText: String {
        guard let content else { return "" }
        let text = content.text ?? (content.elements ?? [content]).map(Self.text).joined(separator: "\n")
        return isError ? text.withoutErrorMark : text
    }

    private static func text(of part: JSONValue) -> String {
        part["text"]?.text ?? "[\(part["source"]?["media_type"]?.text ?? part["type"]?.text ?? "data")]"
    }
}

extension String {
    /// The program marks some errors for the model.
    fileprivate var withoutErrorMark: String {
        let (opener, closer) = ("<tool_use_error>", "</tool_use_error>")
        guard hasPrefix(opener), hasSuffix(closer) else { return self }
        return String(dropFirst(opener.count).dropLast(closer.count))
    }
}
