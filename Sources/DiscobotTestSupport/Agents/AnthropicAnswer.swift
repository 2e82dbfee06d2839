// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel

/// A message as the API streams it.
struct AnthropicAnswer: Sendable {
    enum Piece: Sendable {
        case event(String)
        case hold
        case breakOff
    }

    private typealias Delta = (type: String, field: String, text: String)

    private(set) var pieces: [Piece] = []
    private let id: String
    private var index = -1
    /// What is left of a block that is interrupted.
    private var rest: [Delta]?

    init(id: String, model: String, blocks: [AnthropicScript.Block]) {
        self.id = id
        add(
            "message_start",
            [
                (
                    "message",
                    [
                        "id": .string(id), "type": "message", "role": "assistant", "model": .string(model),
                        "content": [], "stop_reason": nil, "stop_sequence": nil,
                        "usage": ["input_tokens": .number(10), "output_tokens": .number(1)],
                    ]
                )
            ]
        )
        for (number, block) in blocks.enumerated() {
            let isLast = number + 1 == blocks.count
            add(block, isInterrupted: !isLast && blocks[number + 1].interrupts)
        }
        let usesTools = blocks.contains { if case .tool = $0 { true } else { false } }
        let reason: JSONValue = usesTools ? "tool_use" : "end_turn"
        add(
            "message_delta",
            [
                ("delta", ["stop_reason": reason, "stop_sequence": nil]), ("usage", ["output_tokens": .number(20)]),
            ]
        )
        add("message_stop", [])
    }

    /// - Parameter isInterrupted: whether what comes next happens in the middle of this block.
    private mutating func add(_ block: AnthropicScript.Block, isInterrupted: Bool) {
        switch block {
        case .text(let text):
            start(["type": "text", "text": ""])
            let deltas: [Delta] = Self.split(text).map { ("text_delta", "text", $0) }
            guard isInterrupted else { return finish(deltas) }
            for delta in deltas.prefix(deltas.count / 2) { add(delta) }
            rest = Array(deltas.dropFirst(deltas.count / 2))
        case .thinking(let text):
            start(["type": "thinking", "thinking": "", "signature": ""])
            finish(
                Self.split(text).map { ("thinking_delta", "thinking", $0) } + [("signature_delta", "signature", "c2ln")]
            )
        case .tool(let name, let input):
            let tool = "toolu_\(id)_\(index + 1)"
            start(["type": "tool_use", "id": .string(tool), "name": .string(name), "input": .object([])])
            finish(Self.split(input).map { ("input_json_delta", "partial_json", $0) })
        case .hold: interrupt(.hold)
        case .breakOff: interrupt(.breakOff)
        }
    }

    private mutating func interrupt(_ piece: Piece) {
        pieces.append(piece)
        guard let rest else { return }
        self.rest = nil
        finish(rest)
    }

    private mutating func start(_ block: JSONValue) {
        index += 1
        add("content_block_start", [("index", .number(Int64(index))), ("content_block", block)])
    }

    private mutating func finish(_ deltas: [Delta]) {
        for delta in deltas { add(delta) }
        add("content_block_stop", [("index", .number(Int64(index)))])
    }

    private mutating func add(_ delta: Delta) {
        let value: JSONValue = .object([("type", .string(delta.type)), (delta.field, .string(delta.text))])
        add("content_block_delta", [("index", .number(Int64(index))), ("delta", value)])
    }

    private mutating func add(_ event: String, _ fields: [(String, JSONValue)]) {
        let data = (try? JSONEncoding.bytes(of: .object([("type", .string(event))] + fields) as JSONValue)) ?? []
        pieces.append(.event("event: \(event)\ndata: \(String(decoding: data, as: UTF8.self))\n\n"))
    }

    /// Pieces of a few characters each.
    private static func split(_ text: String) -> [String] {
        var rest = text[...]
        var pieces: [String] = []
        while !rest.isEmpty {
            pieces.append(String(rest.prefix(8)))
            rest = rest.dropFirst(8)
        }
        return pieces
    }
}

extension AnthropicScript.Block {
    var interrupts: Bool {
        switch self {
        case .hold, .breakOff: true
        default: false
        }
    }
}
