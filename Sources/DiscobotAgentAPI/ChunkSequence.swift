// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// Makes a proper answer of whatever a driver sends: the order rules of the UI message stream, as a value.
///
/// `start` comes first and once; part ids are unique; deltas come within an open part; a text or reasoning part ends when
/// other content arrives; a tool has its input before its output; one chunk ends it all, when everything is closed.
package struct ChunkSequence: Sendable {
    /// How an answer ends.
    package enum Ending: Sendable, Equatable {
        case finished
        case aborted(reason: String)
        case failed(message: String)

        /// What a runtime that was killed says of the answer that it was at.
        package static let interruption = "the agent's runtime was interrupted; send the message again to go on"
    }

    private enum Block: Equatable {
        case text, reasoning
    }

    private struct Tool {
        let id: String
        let name: String
        var hasInput = false
    }

    private var hasStarted = false
    package private(set) var hasEnded = false
    /// The part that deltas go to, by the names of the driver and of the answer.
    private var part: (block: Block, name: String, id: String)?
    private var usedIDs: Set<String> = []
    /// Tools without a result, oldest first, and by which name the driver knows them.
    private var tools: [Tool] = []
    private var toolIDs: [String: String] = [:]
    private let messageID: String

    package init(messageID: String) {
        self.messageID = messageID
    }

    /// What becomes of a driver's chunk; nothing for one that has no place in the answer.
    package mutating func append(_ chunk: Chunk) -> [Chunk] {
        guard !hasEnded else { return [] }
        return begin() + content(chunk)
    }

    /// The chunks that end the answer; none when it has ended.
    package mutating func end(_ ending: Ending) -> [Chunk] {
        guard !hasEnded else { return [] }
        var chunks = begin() + closePart()
        for tool in tools {
            if !tool.hasInput {
                chunks.append(.toolInputAvailable(toolCallId: tool.id, toolName: tool.name, input: [:]))
            }
            chunks.append(.toolOutputError(toolCallId: tool.id, errorText: Self.toolError(ending)))
        }
        tools = []
        hasEnded = true
        switch ending {
        case .finished: chunks.append(.finish)
        case .aborted(let reason): chunks.append(.abort(reason: reason))
        case .failed(let message): chunks.append(.error(errorText: message.bounded(ChunkLimits.text)))
        }
        return chunks
    }

    /// Takes over a chunk of an answer that was begun before.
    package mutating func resume(_ chunk: Chunk) {
        if chunk.isTerminal { hasEnded = true }
        _ = begin()
        _ = content(chunk)
    }

    private static func toolError(_ ending: Ending) -> String {
        switch ending {
        case .finished: "the tool has given no result"
        case .aborted(let reason): reason
        case .failed: "the agent has ended before the tool"
        }
    }

    private mutating func begin() -> [Chunk] {
        guard !hasStarted else { return [] }
        hasStarted = true
        return [.start(messageId: messageID)]
    }

    private mutating func content(_ chunk: Chunk) -> [Chunk] {
        switch chunk {
        case .textStart(let name): open(.text, name)
        case .reasoningStart(let name): open(.reasoning, name)
        case .textDelta(let name, let delta): extend(.text, name, delta)
        case .reasoningDelta(let name, let delta): extend(.reasoning, name, delta)
        case .textEnd(let name): close(.text, name)
        case .reasoningEnd(let name): close(.reasoning, name)
        case .toolInputStart, .toolInputDelta, .toolInputAvailable: toolInput(chunk)
        case .toolOutputAvailable(let name, let output):
            toolEnd(name) { .toolOutputAvailable(toolCallId: $0, output: output.bounded(ChunkLimits.value)) }
        case .toolOutputError(let name, let text):
            toolEnd(name) { .toolOutputError(toolCallId: $0, errorText: text.bounded(ChunkLimits.text)) }
        // These are not the driver's.
        case .start, .finish, .abort, .error: []
        }
    }
}

// Text and reasoning.
extension ChunkSequence {
    private mutating func open(_ block: Block, _ name: String) -> [Chunk] {
        let closing = closePart()
        let id = unusedID(name)
        part = (block, name, id)
        return closing + [block == .text ? .textStart(id: id) : .reasoningStart(id: id)]
    }

    private mutating func extend(_ block: Block, _ name: String, _ delta: String) -> [Chunk] {
        guard !delta.isEmpty else { return [] }
        var chunks: [Chunk] = []
        if part?.block != block || part?.name != name { chunks = open(block, name) }
        guard let id = part?.id else { return chunks }
        return chunks
            + delta.pieces(ChunkLimits.text).map {
                block == .text ? .textDelta(id: id, delta: $0) : .reasoningDelta(id: id, delta: $0)
            }
    }

    private mutating func close(_ block: Block, _ name: String) -> [Chunk] {
        part?.block == block && part?.name == name ? closePart() : []
    }

    private mutating func closePart() -> [Chunk] {
        guard let (block, _, id) = part else { return [] }
        part = nil
        return [block == .text ? .textEnd(id: id) : .reasoningEnd(id: id)]
    }

    private mutating func unusedID(_ name: String) -> String {
        var id = name
        var number = 2
        while !usedIDs.insert(id).inserted {
            id = "\(name)-\(number)"
            number += 1
        }
        return id
    }
}

// Tools.
extension ChunkSequence {
    private mutating func toolInput(_ chunk: Chunk) -> [Chunk] {
        switch chunk {
        case .toolInputStart(let name, let toolName, let title):
            guard index(of: name) == nil else { return [] }
            let closing = closePart()
            return closing
                + [.toolInputStart(toolCallId: openTool(name, toolName), toolName: toolName, title: title)]
        case .toolInputDelta(let name, let delta):
            guard let index = index(of: name), !tools[index].hasInput, !delta.isEmpty else { return [] }
            let id = tools[index].id
            return closePart()
                + delta.pieces(ChunkLimits.text).map { .toolInputDelta(toolCallId: id, inputTextDelta: $0) }
        case .toolInputAvailable(let name, let toolName, let input, let title):
            if let index = index(of: name), tools[index].hasInput { return [] }
            let closing = closePart()
            let id = index(of: name).map { tools[$0].id } ?? openTool(name, toolName)
            if let index = index(of: name) { tools[index].hasInput = true }
            return closing + [
                .toolInputAvailable(
                    toolCallId: id,
                    toolName: toolName,
                    input: input.bounded(ChunkLimits.value),
                    title: title
                )
            ]
        default: return []
        }
    }

    private mutating func toolEnd(_ name: String, _ output: (String) -> Chunk) -> [Chunk] {
        guard let index = index(of: name) else { return [] }
        let closing = closePart()
        let tool = tools.remove(at: index)
        toolIDs[name] = nil
        let input: [Chunk] =
            tool.hasInput ? [] : [.toolInputAvailable(toolCallId: tool.id, toolName: tool.name, input: [:])]
        return closing + input + [output(tool.id)]
    }

    private mutating func openTool(_ name: String, _ toolName: String) -> String {
        let id = unusedID(name)
        toolIDs[name] = id
        tools.append(Tool(id: id, name: toolName))
        return id
    }

    /// Of a tool that has no result yet.
    private func index(of name: String) -> Int? {
        guard let id = toolIDs[name] else { return nil }
        return tools.firstIndex { $0.id == id }
    }
}
