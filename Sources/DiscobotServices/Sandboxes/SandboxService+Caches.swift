// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotSandbox

/// What the sandboxes of a project share.
extension SandboxService {
    /// Those of all providers that can be asked now: one whose engine is not there must not keep others from answering.
    /// Throws `unsupported` when no provider has any, and `unavailable` when none of those that may have some can be asked.
    package func caches(of project: ID<Project>) async throws -> [CacheVolume] {
        var answers: [CacheVolume]?
        var silence: SandboxError?
        try await translatingSandboxErrors {
            for provider in providers.all {
                do {
                    if let caches = try await provider.caches(of: project) { answers = (answers ?? []) + caches }
                } catch let error as SandboxError where error.code == .unavailable {
                    silence = silence ?? error
                }
            }
            if answers == nil, let silence { throw silence }
        }
        guard let answers else { throw Self.noCaches }
        return answers
    }

    /// Removes those of all providers. Throws, after all have been asked, what the first of them could not do: `conflict`
    /// while running sandboxes need a cache, and `unavailable` while one that may have some cannot be asked.
    package func removeCaches(of project: ID<Project>) async throws {
        var hasCaches = false
        var failure: SandboxError?
        try await translatingSandboxErrors {
            for provider in providers.all {
                do {
                    // Also when it tells of none: it may share something that is no cache.
                    try await provider.removeCache(of: project)
                    if try await provider.caches(of: project) != nil { hasCaches = true }
                } catch let error as SandboxError {
                    failure = failure ?? error
                }
            }
            if let failure { throw failure }
        }
        guard hasCaches else { throw Self.noCaches }
    }

    private static var noCaches: ServerError {
        ServerError(.unsupported, "Cache volumes not supported by provider")
    }
}
