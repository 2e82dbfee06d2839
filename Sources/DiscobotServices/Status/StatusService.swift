// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
package import DiscobotModel
package import DiscobotSandbox
package import DiscobotStore

/// Whether the server can do its work, and what to mend where it cannot.
package struct StatusService: Sendable {
    private let store: Store
    private let providers: SandboxProviders
    private let startup: StartupTasks

    package init(store: Store, providers: SandboxProviders, startup: StartupTasks) {
        self.store = store
        self.providers = providers
        self.startup = startup
    }

    /// Something a user should know about the server.
    package struct Message: Sendable, Encodable, Equatable {
        package enum Level: String, Sendable, Encodable {
            case warn, error
        }

        package let id: String
        package let level: Level
        package let title: String
        package let message: String
    }

    package func messages() async -> [Message] {
        var messages: [Message] = []
        if await !isGitInstalled() {
            messages.append(
                Message(
                    id: "git-not-found",
                    level: .warn,
                    title: "Git not found",
                    message: "Workspaces need git. Install it (Debian: apt-get install git) and restart the server."
                )
            )
        }
        for (name, state) in await providers.states() {
            guard let problem = state.problem else { continue }
            messages.append(
                Message(
                    id: "\(name)-not-found",
                    level: .warn,
                    title: "Sandbox provider \(name) is not available",
                    message: "\(problem.reason). \(problem.remedy)"
                )
            )
        }
        return messages
    }

    /// What goes on, or went on, in the background since the start.
    package var startupTasks: [StartupTask] { startup.all }

    /// A git that does not answer in time is there all the same.
    private func isGitInstalled() async -> Bool {
        do {
            _ = try await GitCommand.version()
            return true
        } catch {
            return (error as? GitError)?.code != .notInstalled
        }
    }

    /// Throws `unavailable` when the database does not answer.
    package func checkDatabase() async throws {
        _ = try await store.read { try $0.project(Project.localID) }
    }

    /// Each provider by name, and the name of the one that workspaces use unless they say otherwise.
    package func providerStates() async -> (states: [(name: String, state: ProviderState)], default: String) {
        let states = await providers.states()
        return (states, SandboxProviders.defaultName(among: states))
    }
}
