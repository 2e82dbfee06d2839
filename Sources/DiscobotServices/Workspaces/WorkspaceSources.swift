// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
package import DiscobotModel
import Foundation

/// Decides whether what a user names can become a workspace.
package struct WorkspaceSources: Sendable {
    private let providers: Set<String>
    private let home: String

    /// - Parameter providers: names of the sandbox providers there are.
    package init(providers: Set<String>, home: String) {
        self.providers = providers
        self.home = home
    }

    /// A place that can become a workspace.
    package struct Source: Sendable, Equatable {
        package let path: String
        package let type: Workspace.SourceType
    }

    /// The cleaned path and its type, found out where it is nil; throws `invalidArgument` with the reason.
    package func check(path: String, sourceType: Workspace.SourceType?) throws -> Source {
        guard !path.allSatisfy(\.isWhitespace) else { throw ServerError.invalidArgument("Path is required") }
        do throws(GitError) {
            switch sourceType ?? (GitSource.isRemote(path) ? .git : .local) {
            case .git:
                return try source(.remote(parsing: path))
            case .local:
                let path = cleaned(path)
                try GitRepository.checkLocal(path)
                return Source(path: path, type: .local)
            }
        } catch {
            throw ServerError(.invalidArgument, error.message, cause: error)
        }
    }

    private func source(_ source: GitSource) -> Source {
        switch source {
        case .remote(let url): Source(path: url, type: .git)
        case .local(let path): Source(path: path, type: .local)
        }
    }

    /// Throws `invalidArgument` unless it is empty, for the default, or the name of a provider.
    package func check(provider: String) throws {
        guard provider.isEmpty || providers.contains(provider) else {
            let known = providers.sorted().joined(separator: ", ")
            throw ServerError.invalidArgument("provider must be one of: \(known)")
        }
    }

    /// What a user may hope for from a path.
    package struct Verdict: Sendable {
        package let path: String
        /// `repository`, `new` (the server would create it), `remote`, or `invalid`.
        package let classification: String
        package let error: String?
    }

    /// Like `check`, for a form that is still being filled in; also understands the GitHub short form `org/repo`.
    package func validate(path: String, sourceType: Workspace.SourceType) -> Verdict {
        let expanded = sourceType == .git ? GitSource.gitHubURL(fromShorthand: path) ?? path : path
        do {
            let source = try check(path: expanded, sourceType: sourceType)
            let isRepository = FileManager.default.fileExists(atPath: source.path + "/.git")
            let local = isRepository ? "repository" : "new"
            return Verdict(path: source.path, classification: source.type == .git ? "remote" : local, error: nil)
        } catch {
            let reason = (error as? ServerError)?.message ?? "\(error)"
            return Verdict(path: expanded, classification: "invalid", error: reason)
        }
    }

    /// `~` expanded, `.` and `..` and doubled slashes resolved; relative paths stay relative.
    func cleaned(_ path: String) -> String {
        let isHome = path == "~" || path.hasPrefix("~/")
        let expanded = isHome ? home + path.dropFirst() : path
        return (expanded as NSString).standardizingPath
    }
}
