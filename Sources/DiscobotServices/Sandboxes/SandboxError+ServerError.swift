// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox

/// Runs `body`; what a sandbox provider or an agent says becomes a `ServerError`.
func translatingSandboxErrors<Value>(_ body: () async throws -> Value) async throws -> Value {
    do {
        return try await body()
    } catch let error as SandboxError {
        throw ServerError(error)
    } catch let error as AgentError {
        throw ServerError(error)
    }
}

extension ServerError {
    init(_ error: SandboxError) {
        let code: Code =
            switch error.code {
            case .notFound, .notRunning, .startFailed, .failed, .invalidImage, .resourceLimit: .operationFailed
            case .unavailable: .unavailable
            case .inUse: .conflict
            case .timedOut: .timedOut
            }
        self.init(code, error.message, cause: error)
    }

    init(_ error: AgentError) {
        let code: Code =
            switch error.code {
            case .refused(400): .invalidArgument
            case .refused(403): .forbidden
            case .refused(404): .notFound
            case .refused(409): .conflict
            case .refused(412): .preconditionFailed
            case .refused(413), .tooLarge: .tooLarge
            case .refused(504): .timedOut
            case .refused(507), .storageFull: .storageFull
            case .unreachable, .refused(503): .unavailable
            case .refused, .invalidAnswer: .operationFailed
            }
        self.init(code, error.message, cause: error)
    }
}
