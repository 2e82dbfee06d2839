// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import Synchronization

/// Who decides on the use of a tool, by the turn's mode, during one turn.
final class ClaudeCodePolicy: Sendable {
    private let mode: String?
    private let hasPlan = Atomic(false)

    init(mode: String?) {
        self.mode = mode
    }

    /// Whether the user is asked; otherwise the tool is allowed.
    func asks(_ permission: ClaudeCodePermission) -> Bool {
        if permission.needsUser || permission.toolName == ClaudeCodePermission.question { return true }
        switch mode {
        case "ask": return true
        case "plan": return permission.toolName == ClaudeCodePermission.plan || !hasPlan.load(ordering: .relaxed)
        default: return permission.toolName == ClaudeCodePermission.plan
        }
    }

    /// Asks the user, unless a plan that was approved in the meantime has made that needless.
    func decision(
        on permission: ClaudeCodePermission,
        ask: (PendingQuestion) async throws -> [String: String]
    ) async throws -> JSONValue {
        guard asks(permission) else { return permission.allowed() }
        let decision = permission.decision(try await ask(permission.pendingQuestion))
        if permission.toolName == ClaudeCodePermission.plan, decision["behavior"] == "allow" {
            hasPlan.store(true, ordering: .relaxed)
        }
        return decision
    }
}
