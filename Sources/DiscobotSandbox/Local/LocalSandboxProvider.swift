// SPDX-License-Identifier: Apache-2.0

import Subprocess

/// Sandboxes on this machine by bubblewrap, without a daemon.
package struct LocalSandboxProvider: SandboxProvider {
    package let name = "local"

    package init() {}

    package func state() async -> ProviderState {
        guard let version = try? await output("--version") else {
            return .unavailable(
                reason: "bubblewrap (bwrap) was not found",
                remedy: "Install it; Debian: apt-get install bubblewrap."
            )
        }
        guard (try? await output("--ro-bind", "/", "/", "--unshare-all", "true")) != nil else {
            return .unavailable(
                reason: "bubblewrap cannot create namespaces here",
                remedy: "Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1)."
            )
        }
        return .available(version: version.split(separator: " ").last.map { String($0).trimmingSuffix("\n") })
    }

    private struct Failed: Error {}

    /// What bubblewrap prints; throws when it fails or does not answer in five seconds.
    private func output(_ arguments: String...) async throws -> String {
        try await withThrowingTaskGroup(of: String.self) { group in
            group.addTask {
                let result = try await run(
                    .name("bwrap"),
                    arguments: Arguments(arguments),
                    output: .string(limit: 4096),
                    error: .discarded
                )
                guard result.terminationStatus.isSuccess else { throw Failed() }
                return result.standardOutput
            }
            group.addTask {
                try await Task.sleep(for: .seconds(5))
                throw Failed()
            }
            defer { group.cancelAll() }
            guard let output = try await group.next() else { throw Failed() }
            return output
        }
    }
}

extension String {
    fileprivate func trimmingSuffix(_ suffix: String) -> String {
        hasSuffix(suffix) ? String(dropLast(suffix.count)) : self
    }
}
