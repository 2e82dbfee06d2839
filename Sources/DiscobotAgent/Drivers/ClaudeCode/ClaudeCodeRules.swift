// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// What the user has allowed for the rest of the conversation, in the words in which the program suggested it.
///
/// The program forgets that when it ends, so that it is told in each turn.
struct ClaudeCodeRules: Sendable, Equatable {
    private static let limit = 256
    private(set) var suggestions: [JSONValue]

    init(_ suggestions: [JSONValue] = []) {
        self.suggestions = suggestions
    }

    mutating func add(_ new: [JSONValue]) {
        for suggestion in new where !suggestions.contains(suggestion) { suggestions.append(suggestion) }
        suggestions.removeFirst(max(0, suggestions.count - Self.limit))
    }

    /// Whether files may be changed without asking.
    var acceptsEdits: Bool {
        suggestions.contains { $0["type"] == "setMode" && $0["mode"] == "acceptEdits" }
    }

    /// A settings file of the program; nil when there is nothing to say.
    var settings: JSONValue? {
        let rules = suggestions.filter { $0["type"] == "addRules" && $0["behavior"] == "allow" }
            .flatMap { $0["rules"]?.elements ?? [] }.compactMap(Self.text)
        let directories = suggestions.filter { $0["type"] == "addDirectories" }
            .flatMap { $0["directories"]?.elements ?? [] }
        guard !rules.isEmpty || !directories.isEmpty else { return nil }
        return [
            "permissions": ["allow": .list(rules.map(JSONValue.string)), "additionalDirectories": .list(directories)]
        ]
    }

    private static func text(of rule: JSONValue) -> String? {
        guard let tool = rule["toolName"]?.text else { return nil }
        return rule["ruleContent"]?.text.map { "\(tool)(\($0))" } ?? tool
    }
}
