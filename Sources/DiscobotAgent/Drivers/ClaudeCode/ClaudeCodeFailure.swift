// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI

/// Says in words for the user why a turn failed. No words of the environment's secrets get through.
struct ClaudeCodeFailure: Sendable {
    private let secrets: [String]

    init(environment: [String: String]) {
        let marks = ["KEY", "TOKEN", "SECRET", "PASSWORD"]
        secrets = environment.filter { name, value in value.utf8.count >= 8 && marks.contains { name.hasSuffix($0) } }
            .map(\.value)
    }

    static let notInstalled = DriverError(
        "Claude Code is not installed where the sandbox finds it; on the server's machine run: "
            + "npm install -g @anthropic-ai/claude-code"
    )
    static let silent = DriverError("Claude Code was started but does not answer")
    static let deaf = DriverError("Claude Code does not read what it is answered")

    /// Nil when the turn succeeded.
    func error(_ result: ClaudeCodeResult) -> DriverError? {
        guard result.isError else { return nil }
        let text = result.text ?? result.errors.joined(separator: "\n")
        if text.hasPrefix("Not logged in") {
            return DriverError("Claude Code has no credentials; give the project an Anthropic API key")
        }
        if let status = result.status { return refused(status, text) }
        let reason = text.isEmpty ? result.subtype ?? "no reason given" : text
        return DriverError("Claude Code failed: " + clean(reason))
    }

    /// A request that the model's maker answered with an error.
    func refused(_ status: Int?, _ text: String? = nil) -> DriverError {
        let reason =
            switch status {
            case 401: "Anthropic refused the API key or login (HTTP 401); check the project's credentials"
            case 403: "Anthropic refused access (HTTP 403); check what the project's credentials are good for"
            case 429: "Anthropic's rate limit is reached (HTTP 429); try again later"
            case let status?: "Anthropic's service failed (HTTP \(status))"
            case nil: "Anthropic's service failed"
            }
        // The program's text on refused keys is about its own commands.
        guard let text, !text.isEmpty, status != 401 else { return DriverError(reason) }
        return DriverError("\(reason): \(clean(text))")
    }

    /// The program has ended in the middle.
    func died(exitCode: Int, errorLines: [String]) -> DriverError {
        let lines = errorLines.suffix(5).joined(separator: "\n")
        let how = exitCode > 128 ? "was ended by signal \(exitCode - 128)" : "ended with code \(exitCode)"
        return DriverError(
            "Claude Code \(how) before its answer was complete" + (lines.isEmpty ? "" : ": " + clean(lines))
        )
    }

    private func clean(_ text: String) -> String {
        let hidden = secrets.reduce(text) { $0.replacing($1, with: "…") }
        return hidden.count > 2000 ? hidden.prefix(2000) + "…" : hidden
    }
}
