// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel

/// The environment that a runtime begins with.
enum RuntimeVariables {
    /// In a sandbox.
    static func isolated(_ specification: SandboxSpecification, _ programs: UserPrograms) -> [(String, String)] {
        contract(
            specification,
            workspace: BubblewrapArguments.workspace,
            data: BubblewrapArguments.data,
            server: (.socket, BubblewrapArguments.runDirectory + "/agent.sock")
        ) + common(programs) + personal(home: BubblewrapArguments.data + "/home")
    }

    private static func personal(home: String) -> [(String, String)] {
        [
            ("HOME", home), ("USER", "agent"), ("LOGNAME", "agent"),
            // Else they would be among what the sandboxes of a project share.
            ("HF_TOKEN_PATH", home + "/.huggingface/token"),
            ("HF_STORED_TOKENS_PATH", home + "/.huggingface/stored_tokens"),
            // Claude Code refuses some of its modes to root elsewhere.
            ("IS_SANDBOX", "1"),
            // The repository's owner is another one where the server's user is not.
            ("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", "*"),
        ]
    }

    /// In a container, whose image says where programs are.
    ///
    /// - Parameter isPersonal: whether the user inside is the sandbox's and not the image's.
    static func contained(
        _ specification: SandboxSpecification,
        workspace: String,
        data: String,
        server: (AgentVariable, String),
        isPersonal: Bool
    ) -> [(String, String)] {
        contract(specification, workspace: workspace, data: data, server: server)
            + [(AgentVariable.projectID.rawValue, specification.projectID.rawValue)]
            + (isPersonal ? personal(home: data + "/home") + [("LANG", "C.UTF-8"), ("TERM", "xterm-256color")] : [])
    }

    /// As a plain process.
    static func plain(
        _ specification: SandboxSpecification,
        _ programs: UserPrograms,
        _ session: LocalSessionFiles,
        cache: String
    ) -> [(String, String)] {
        contract(
            specification,
            workspace: specification.workspacePath,
            data: session.data,
            server: (.socket, session.socket)
        ) + common(programs) + [("HOME", session.data + "/home"), (AgentVariable.cacheDirectory.rawValue, cache)]
    }

    private static func common(_ programs: UserPrograms) -> [(String, String)] {
        [
            ("PATH", programs.searchPath.joined(separator: ":")), ("LANG", "C.UTF-8"), ("TERM", "xterm-256color"),
            ("SHELL", "/bin/bash"),
        ]
    }

    private static func contract(
        _ specification: SandboxSpecification,
        workspace: String,
        data: String,
        server: (AgentVariable, String)
    ) -> [(String, String)] {
        var variables: [(AgentVariable, String)] = [
            (.sessionID, specification.sessionID.rawValue), (.secret, specification.secretVerifier),
            (.workspacePath, workspace), (.workspaceSource, specification.workspaceSource), (.dataDirectory, data),
            server,
        ]
        if let commit = specification.workspaceCommit { variables.append((.workspaceCommit, commit)) }
        return variables.map { ($0.rawValue, $1) }
    }
}
