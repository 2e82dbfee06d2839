// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

/// Folds the chunks of an answer into the message that stays.
package struct MessageBuilder: Sendable {
    private enum Block: Hashable {
        case text(String)
        case reasoning(String)
        case tool(String)
    }

    /// The message so far; its id is that of the `start` chunk.
    package private(set) var message: UIMessage
    private var indices: [Block: Int] = [:]

    /// - Parameter id: what the message is called as long as no `start` chunk has come.
    package init(id: String, createdAt: Timestamp) {
        message = UIMessage(id: id, role: .assistant, parts: [], createdAt: createdAt)
    }

    package mutating func append(_ chunk: Chunk) {
        switch chunk {
        case .start(let messageId): message.id = messageId
        case .textStart(let id): open(.text(id), .text(""))
        case .reasoningStart(let id): open(.reasoning(id), .reasoning(""))
        case .textDelta(let id, let delta): extend(.text(id), by: delta)
        case .reasoningDelta(let id, let delta): extend(.reasoning(id), by: delta)
        case .toolInputStart(let id, let name, let title):
            open(.tool(id), .dynamicTool(ToolPart(toolCallId: id, toolName: name, title: title)))
        case .toolInputAvailable(let id, let name, let input, let title):
            let new = ToolPart(toolCallId: id, toolName: name, title: title)
            if indices[.tool(id)] == nil { open(.tool(id), .dynamicTool(new)) }
            change(id) { tool in
                tool.toolName = name
                tool.title = title ?? tool.title
                tool.state = .inputAvailable
                tool.input = input
            }
        case .toolOutputAvailable(let id, let output):
            change(id) { tool in
                tool.state = .outputAvailable
                tool.output = output
            }
        case .toolOutputError(let id, let errorText):
            change(id) { tool in
                tool.state = .outputError
                tool.errorText = errorText
            }
        case .textEnd, .reasoningEnd, .toolInputDelta, .finish, .abort, .error: break
        }
    }

    private mutating func open(_ block: Block, _ part: MessagePart) {
        indices[block] = message.parts.count
        message.parts.append(part)
    }

    private mutating func extend(_ block: Block, by delta: String) {
        guard let index = indices[block] else { return }
        // The part is taken out while it grows, so that its text is not copied for each delta.
        let part = message.parts[index]
        message.parts[index] = .text("")
        switch part {
        case .text(var text):
            text += delta
            message.parts[index] = .text(text)
        case .reasoning(var text):
            text += delta
            message.parts[index] = .reasoning(text)
        default: message.parts[index] = part
        }
    }

    private mutating func change(_ toolCallId: String, _ edit: (inout ToolPart) -> Void) {
        guard let index = indices[.tool(toolCallId)], case .dynamicTool(var tool) = message.parts[index] else { return }
        edit(&tool)
        message.parts[index] = .dynamicTool(tool)
    }
}
