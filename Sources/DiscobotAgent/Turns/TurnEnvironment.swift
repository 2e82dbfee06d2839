// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
import DiscobotModel
import FoundationEssentials

/// What the headers of a request bring for one turn; it is kept in memory only.
package struct TurnSecrets: Sendable, Equatable {
    package var credentials: [CredentialVariable] = []
    package var gitUserName: String?
    package var gitUserEmail: String?

    package init() {}

    /// Reads the value of the `X-Discobot-Credentials` header. Throws `invalidArgument`, without repeating values.
    package static func credentials(_ header: String) throws -> [CredentialVariable] {
        guard let variables = try? JSONDecoder().decode([CredentialVariable].self, from: Data(header.utf8)) else {
            throw ServerError.invalidArgument("\(AgentHeader.credentials) must be a JSON list of envVar and value")
        }
        for variable in variables {
            guard isAllowed(variable.envVar), !variable.value.utf8.contains(0) else {
                throw ServerError.invalidArgument(
                    "\(AgentHeader.credentials) must not set \(variable.envVar.prefix(64))"
                )
            }
        }
        return variables
    }

    /// What decides which programs run, or belongs to the runtime, cannot be set.
    private static func isAllowed(_ name: String) -> Bool {
        let letters = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
            default: false
            }
        }
        guard letters, let first = name.unicodeScalars.first, !("0"..."9").contains(first) else { return false }
        return name != "PATH" && name != "HOME" && !name.hasPrefix("LD_") && !name.hasPrefix("DISCOBOT_")
    }

    /// The environment of an agent's process.
    ///
    /// - Parameter base: the runtime's own, of which what is for the runtime alone is left out.
    func environment(base: [String: String], home: String) -> [String: String] {
        var variables = base.filter { name, _ in !name.hasPrefix("DISCOBOT_") && name != AgentVariable.port.rawValue }
        variables["HOME"] = home
        variables["PATH"] = variables["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        if let gitUserName {
            variables["GIT_AUTHOR_NAME"] = gitUserName
            variables["GIT_COMMITTER_NAME"] = gitUserName
        }
        if let gitUserEmail {
            variables["GIT_AUTHOR_EMAIL"] = gitUserEmail
            variables["GIT_COMMITTER_EMAIL"] = gitUserEmail
        }
        for credential in credentials { variables[credential.envVar] = credential.value }
        return variables
    }
}
