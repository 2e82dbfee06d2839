// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What a model answers, as the user's text says line by line:
///
/// - `SAY text`, `THINK text`, `TOOL name {input}` are blocks of the answer,
/// - `HOLD` in between waits for `MockAnthropicAPI.release()`; in the middle of a `SAY` when that stands before it,
/// - `BREAK` breaks the stream off,
/// - `STATUS code [times]` fails, always or the first times,
/// - `NEXT` ends a message; what follows is for the one after the results of its tools.
///
/// `$PLAN_FILE` is where the agent wants a plan to be. When the text has no more to say, the results of tools are
/// answered by `Tool finished: …`, and anything else by `ok`.
package struct AnthropicScript: Sendable {
    package enum Block: Sendable {
        case text(String)
        case thinking(String)
        case tool(name: String, input: String)
        case hold
        case breakOff
    }

    let text: String
    private(set) var blocks: [Block] = []
    private(set) var failure: (status: Int, times: Int)?

    init(_ body: JSON) {
        let messages = body["messages"].list.filter { $0["role"].string != "system" }
        let last = messages.lastIndex { $0["role"].string == "user" && Self.prompt(of: $0) != nil }
        text = last.flatMap { Self.prompt(of: messages[$0]) } ?? ""
        let answers = messages[((last ?? -1) + 1)...].count { $0["role"].string == "assistant" }
        let steps = text.split(separator: "\nNEXT\n")
        guard answers < steps.count else {
            let results = messages.last.map(Self.results) ?? []
            blocks = [.text(results.isEmpty ? "ok" : "Tool finished: " + results.joined(separator: "; "))]
            return
        }
        for line in steps[answers].split(separator: "\n") { read(String(line), planFile: Self.planFile(body)) }
        if blocks.isEmpty { blocks = [.text("ok")] }
    }

    private mutating func read(_ line: String, planFile: String) {
        let words = line.split(separator: " ", maxSplits: 2).map(String.init)
        let rest = String(line.dropFirst((words.first?.count ?? 0) + 1))
        switch words.first {
        case "SAY": blocks.append(.text(rest))
        case "THINK": blocks.append(.thinking(rest))
        case "TOOL" where words.count == 3:
            blocks.append(.tool(name: words[1], input: words[2].replacing("$PLAN_FILE", with: planFile)))
        case "HOLD": blocks.append(.hold)
        case "BREAK": blocks.append(.breakOff)
        case "STATUS" where words.count > 1:
            failure = (Int(words[1]) ?? 500, words.count > 2 ? Int(words[2]) ?? .max : .max)
        default: break
        }
    }

    /// The user's own words in a message, without what the agent adds to them; nil for none.
    private static func prompt(of message: JSON) -> String? {
        if let text = message["content"].string { return text }
        let texts = message["content"].list.filter { $0["type"].string == "text" }.compactMap { $0["text"].string }
        return texts.last { !$0.hasPrefix("<system-reminder>") && !$0.hasPrefix("[Request interrupted") }
    }

    private static func results(of message: JSON) -> [String] {
        message["content"].list.filter { $0["type"].string == "tool_result" }.map { result in
            result["content"].string ?? result["content"].list.compactMap { $0["text"].string }.joined(separator: "\n")
        }
    }

    /// All that a message says.
    static func texts(of message: JSON) -> [String] {
        if let text = message["content"].string { return [text] }
        return message["content"].list.compactMap { $0["text"].string } + results(of: message)
    }

    private static func planFile(_ body: JSON) -> String {
        let said =
            body["messages"].list.flatMap { texts(of: $0) } + body["system"].list.compactMap { $0["text"].string }
        return said.lazy.compactMap { $0.firstMatch(of: /\/[^\s"]*\/plans\/[^\s"]*\.md/).map { String($0.output) } }
            .first ?? ""
    }
}
