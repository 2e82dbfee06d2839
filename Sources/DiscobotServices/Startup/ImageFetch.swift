// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox

/// One attempt to fetch the image of a provider's sandboxes, shown as something that the server does in the background.
struct ImageFetch: Sendable {
    /// The provider's name.
    let provider: String
    let source: any SandboxImageSource
    let tasks: StartupTasks

    func run() async throws {
        update { $0.advance(operation, at: .now) }
        do {
            try await source.pullImage { progress in
                update { $0.advance(operation, bytes: progress.bytes, of: progress.totalBytes, at: .now) }
            }
            complete()
        } catch {
            if !(error is CancellationError) { fail(error) }
            throw error
        }
    }

    func complete() { update { $0.complete(at: .now) } }

    func fail(_ error: any Error) {
        let reason = (error as? SandboxError)?.message ?? "an internal error; the server's log says more"
        update { $0.fail(reason, at: .now) }
    }

    var isShown: Bool { tasks.all.contains { $0.id == id } }

    private var id: String { "\(provider)-pull" }
    private var operation: String { "Pulling \(source.imageName)" }

    private func update(_ change: (inout StartupTask) -> Void) {
        tasks.update(id, name: "Image of the sandboxes (\(provider))", change)
    }
}
