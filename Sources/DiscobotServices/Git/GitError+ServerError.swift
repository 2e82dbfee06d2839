// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
import DiscobotModel

/// Runs `body`; what git says becomes a `ServerError`, with what was tried in front when git itself failed.
func translatingGitErrors<Value>(_ verb: String? = nil, _ body: () async throws -> Value) async throws -> Value {
    do {
        return try await body()
    } catch let error as GitError {
        let prefix = verb.map { "Failed to \($0): " } ?? ""
        switch error.code {
        case .invalidArgument: throw ServerError(.invalidArgument, error.message, cause: error)
        case .notFound: throw ServerError(.notFound, error.message, cause: error)
        case .tooLarge: throw ServerError(.tooLarge, error.message, cause: error)
        case .forbidden: throw ServerError(.forbidden, error.message, cause: error)
        case .storageFull: throw ServerError(.storageFull, error.message, cause: error)
        case .conflict: throw ServerError(.conflict, prefix + error.message, cause: error)
        case .timedOut: throw ServerError(.timedOut, prefix + error.message, cause: error)
        case .notARepository where verb == nil: throw ServerError(.invalidArgument, error.message, cause: error)
        case .notARepository, .notInstalled, .failed:
            throw ServerError(.operationFailed, prefix + error.message, cause: error)
        }
    }
}
