// SPDX-License-Identifier: Apache-2.0

extension GitRepository {
    /// The URL that the repository was cloned from; nil when it has no origin.
    package func originURL() async throws -> String? {
        let output = try await command.run(["config", "--get", "remote.origin.url"], acceptedExitCodes: [0, 1])
        return output.text.split(separator: "\n").first.map(String.init)
    }
}

extension GitCommand {
    /// The version of git, for example `2.39.5`; throws ``GitError``, `.notInstalled` when there is none.
    package static func version() async throws -> String {
        let output = try await GitCommand(directory: nil).run(["--version"], timeout: .seconds(30))
        return output.text.split(whereSeparator: \.isWhitespace).dropFirst(2).first.map(String.init) ?? "unknown"
    }
}
