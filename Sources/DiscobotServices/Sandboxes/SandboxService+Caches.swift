// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotSandbox

/// What the sandboxes of a project share.
extension SandboxService {
    /// Those of all providers that can tell. Throws `unsupported` when no provider has any, and `unavailable` when none of
    /// those that may have some can be asked.
    package func caches(of project: ID<Project>) async throws -> [CacheVolume] {
        try await ask { try await $0.caches(of: project) }.flatMap(\.self)
    }

    /// Removes those that `caches` lists. Throws `conflict` while running sandboxes need them, and what `caches` throws.
    package func removeCaches(of project: ID<Project>) async throws {
        _ = try await ask { provider in
            let hasCaches = try await provider.caches(of: project) != nil
            // Also when it tells of none: it may share something that is no cache.
            try await provider.removeCache(of: project)
            return hasCaches ? () : nil
        }
    }

    /// The answers of all providers that have caches and can be asked now. One whose engine is not there must not keep
    /// others from answering.
    private func ask<Answer>(
        _ question: (any SandboxProvider) async throws -> Answer?
    ) async throws -> [Answer] {
        var answers: [Answer] = []
        var silence: SandboxError?
        try await translatingSandboxErrors {
            for provider in providers.all {
                do {
                    if let answer = try await question(provider) { answers.append(answer) }
                } catch let error as SandboxError where error.code == .unavailable {
                    silence = error
                }
            }
            if answers.isEmpty, let silence { throw silence }
        }
        guard !answers.isEmpty else {
            throw ServerError(.unsupported, "Cache volumes not supported by provider")
        }
        return answers
    }
}
