// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel

/// Who decides on the use of a tool, by the turn's mode.
struct ClaudeCodePolicy: Sendable {
    private let mode: String?
    private var hasPlan = false

    init(mode: String?) {
        self.mode = mode
    }

    /// Whether the user is asked; otherwise the tool is allowed.
    func asks(_ permission: ClaudeCodePermission) -> Bool {
        if permission.needsUser || permission.toolName == ClaudeCodePermission.question { return true }
        switch mode {
        case "ask": return true
        case "plan": return permission.toolName == ClaudeCodePermission.plan || !hasPlan
        default: return permission.toolName == ClaudeCodePermission.plan
        }
    }

    mutating func decision(
        on permission: ClaudeCodePermission,
        ask: (PendingQuestion) async throws -> [String: String]
    ) async throws -> JSONValue {
        guard asks(permission) else { return permission.allowed() }
        let decision = permission.decision(try await ask(permission.pendingQuestion))
        if permission.toolName == ClaudeCodePermission.plan, decision["behavior"] == "allow" { hasPlan = true }
        return decision
    }
}
