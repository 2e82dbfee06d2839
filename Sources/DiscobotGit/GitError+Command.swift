// SPDX-License-Identifier: Apache-2.0

import Subprocess

// What a failed git process means. Messages are matched in English: GitEnvironment fixes the locale.
extension GitError {
    /// The error of a git process that ended with an exit code its caller did not expect.
    init(command: String, exitCode: Int32, standardError: String) {
        let text = Self.essentials(of: standardError)
        let message = text.isEmpty ? "git \(command) failed with exit code \(exitCode)" : text
        self.init(Self.code(for: text), message)
    }

    /// The error of a git process that could not be started or talked to.
    init(command: String, directory: String?, cause: SubprocessError) {
        switch cause.code {
        case .executableNotFound:
            self.init(.notInstalled, "git was not found: install git and make sure it is in the PATH of the server")
        case .failedToChangeWorkingDirectory:
            self.init(.notFound, "directory does not exist: \(directory ?? "")")
        default:
            self.init(.failed, "git \(command) could not be run: \(cause)")
        }
    }

    /// Drops progress and advice, which would bury the reason.
    private static func essentials(of standardError: String) -> String {
        standardError.split(whereSeparator: \.isNewline).filter { line in
            !["Cloning into ", "hint:", "warning:"].contains { line.hasPrefix($0) }
                && GitCloneProgress(line: String(line)) == nil
        }
        .map { line in
            String(["fatal: ", "error: "].first(where: line.hasPrefix).map { line.dropFirst($0.count) } ?? line)
        }
        .joined(separator: "\n")
    }

    private static func code(for text: String) -> Code {
        phrases.first { _, phrases in phrases.contains { text.contains($0) } }?.code ?? .failed
    }

    private static let phrases: [(code: Code, phrases: [String])] = [
        (.storageFull, ["No space left on device", "Disk quota exceeded"]),
        (.notARepository, ["not a git repository"]),
        (
            .conflict,
            [
                "would be overwritten by", "unmerged files", "unmerged paths", "needs merge", ".lock': File exists",
                "resolve your current index first",
            ]
        ),
        (
            .notFound,
            [
                "did not match any", "unknown revision", "bad revision", "ot a valid object name", "invalid reference",
                "Needed a single revision", "epository not found", "does not appear to be a git repository",
                "' not found", "' does not exist",
            ]
        ),
        (.invalidArgument, ["ignored by one of your .gitignore files", "is beyond a symbolic link"]),
    ]
}
