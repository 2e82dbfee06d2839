// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

package enum HookKind: String, Sendable, Codable {
    case session, file
    case preCommit = "pre-commit"
}

/// What has become of a hook.
package struct HookStatus: Sendable, Codable, Equatable {
    package enum Result: String, Sendable, Codable {
        case success, failure, running
    }

    package let hookId: String
    package var hookName: String
    package var type: HookKind
    package var lastRunAt: Timestamp?
    package var lastResult: Result?
    package var lastExitCode: Int?
    /// Where the output of the last run is, in the sandbox.
    package var outputPath: String
    package var runCount = 0
    package var failCount = 0
    package var consecutiveFailures = 0
    /// Why it cannot run.
    package var problem: String?

    package init(hookId: String, hookName: String, type: HookKind, outputPath: String) {
        self.hookId = hookId
        self.hookName = hookName
        self.type = type
        self.outputPath = outputPath
    }
}

/// `GET /hooks/status`
package struct HooksStatusResponse: Sendable, Codable, Equatable {
    package let hooks: [String: HookStatus]
    /// Those that have to run after the next turn, because one before them failed.
    package let pendingHooks: [String]
    package let lastEvaluatedAt: Timestamp?

    package init(hooks: [String: HookStatus], pendingHooks: [String], lastEvaluatedAt: Timestamp?) {
        self.hooks = hooks
        self.pendingHooks = pendingHooks
        self.lastEvaluatedAt = lastEvaluatedAt
    }
}

/// `GET /hooks/{id}/output`
package struct HookOutputResponse: Sendable, Codable, Equatable {
    package let hookId: String
    package let output: String

    package init(hookId: String, output: String) {
        self.hookId = hookId
        self.output = output
    }
}

/// `POST /hooks/{id}/rerun`
package struct HookRunResponse: Sendable, Codable, Equatable {
    package let success: Bool
    package let exitCode: Int

    package init(exitCode: Int) {
        success = exitCode == 0
        self.exitCode = exitCode
    }
}
