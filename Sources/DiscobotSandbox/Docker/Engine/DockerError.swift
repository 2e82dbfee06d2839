// SPDX-License-Identifier: Apache-2.0

/// Why a call to a Docker Engine failed.
package struct DockerError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// Nobody answers, or no longer.
        case unreachable
        case timedOut
        case invalidAnswer
        /// The engine refused, with an HTTP status.
        case refused(status: Int)
        /// The engine gave up what it had begun, such as a pull.
        case failed
    }

    package let code: Code
    /// The engine's own, where it said something; may be shown to users.
    package let message: String
    /// What helps, where that is known.
    package let remedy: String?
    /// What was behind it, for the log.
    package let cause: String?

    init(_ code: Code, _ message: String, remedy: String? = nil, cause: String? = nil) {
        self.code = code
        self.remedy = remedy
        self.cause = cause.map { String($0.prefix(1000)) }
        // An engine may quote whatever a registry has answered.
        self.message = String(message.prefix(1000))
    }

    package var description: String { cause.map { "\(message) (\($0))" } ?? message }
    package var isNotFound: Bool { code == .refused(status: 404) }
    /// How engines refuse what cannot be done now.
    package var isForbidden: Bool { code == .refused(status: 403) }
    /// Whether the engine answered, and would not do it.
    var isRefusal: Bool { if case .refused = code { true } else { false } }
    /// Whether it cannot make one more network; each engine, and each age of it, has its own words.
    var isLackOfAddresses: Bool {
        ["IPv4 address pool", "predefined address pools", "free subnet"].contains { message.contains($0) }
    }
    package var isConflict: Bool { code == .refused(status: 409) }
}

extension DockerError {
    var sandboxError: SandboxError {
        switch code {
        case .unreachable:
            SandboxError(.unavailable, remedy.map { "\(message). \($0)" } ?? message, cause: cause)
        case .timedOut: SandboxError(.timedOut, message, cause: cause)
        case .invalidAnswer, .failed, .refused: SandboxError(.failed, "Docker: \(message)", cause: cause)
        }
    }
}
