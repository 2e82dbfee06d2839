// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The real agents' programs that tests drive, as `scripts/install-test-agents` installs them.
package enum TestAgents {
    /// Where they are.
    package static var directory: String {
        ProcessInfo.processInfo.environment["DISCOBOT_AGENTS"] ?? "/var/tmp/discobot-test-agents"
    }

    /// The folder with a program; throws when it is not installed, so that its tests fail rather than pass unseen.
    package static func folder(of program: String) throws -> String {
        let folder = directory + "/bin"
        guard FileManager.default.isExecutableFile(atPath: "\(folder)/\(program)") else {
            throw Shell.Failed(
                description: "\(program) is not in \(folder); run the tests by ./dev test, which installs it"
            )
        }
        return folder
    }

    /// The environment of Claude Code that asks `api`, with its home in `home`.
    package static func claudeCodeEnvironment(
        _ api: MockAnthropicAPI,
        home: String,
        apiKey: String? = "sk-ant-test-0123456789"
    ) throws -> [String: String] {
        var environment = [
            "PATH": try folder(of: "claude") + ":/usr/local/bin:/usr/bin:/bin", "HOME": home,
            "ANTHROPIC_BASE_URL": api.url,
        ]
        environment["ANTHROPIC_API_KEY"] = apiKey
        return environment
    }
}
