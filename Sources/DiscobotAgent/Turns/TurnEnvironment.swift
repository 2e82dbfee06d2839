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

    /// What decides which programs run, or belongs to the runtime, cannot be set. Keys and tokens have other names.
    private static func isAllowed(_ name: String) -> Bool {
        let letters = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
            default: false
            }
        }
        guard letters, let first = name.unicodeScalars.first, !("0"..."9").contains(first) else { return false }
        return !refusedNames.contains(name) && !refusedPrefixes.contains(where: name.hasPrefix)
    }

    private static let refusedPrefixes = ["DISCOBOT_", "LD_", "GIT_CONFIG", "BASH_FUNC_"]

    /// By these, programs of agents run or load something that nobody has called: shells, interpreters, git, the C
    /// library. The list cannot be complete, and need not be: whoever sends the header may tell the agent what to run.
    private static let refusedNames: Set = [
        "PATH", "HOME", "SHELL", "IFS", "BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND",
        "NODE_OPTIONS", "NODE_PATH", "BUN_OPTIONS", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PERL5OPT", "PERL5LIB",
        "PERL5DB", "RUBYOPT", "RUBYLIB", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS",
        "GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "SSH_ASKPASS", "GIT_PROXY_COMMAND", "GIT_EXEC_PATH",
        "GIT_TEMPLATE_DIR", "GIT_EXTERNAL_DIFF", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_PAGER", "EDITOR", "VISUAL",
        "PAGER", "BROWSER", "GCONV_PATH", "GLIBC_TUNABLES",
    ]

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
