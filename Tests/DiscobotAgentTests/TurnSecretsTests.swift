// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import Testing

@testable import DiscobotAgent

struct TurnSecretsTests {
    private func read(_ name: String) throws -> [CredentialVariable] {
        try TurnSecrets.credentials(#"[{"envVar":"\#(name)","value":"secret-value"}]"#)
    }

    @Test(arguments: [
        "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "OPENAI_API_KEY", "CODEX_API_KEY", "GITHUB_TOKEN", "GH_TOKEN",
        "GIT_TOKEN", "GIT_PASSWORD", "NPM_TOKEN", "NODE_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "_x1",
        "ANTHROPIC_BASE_URL", "LDAP_PASSWORD", "HOMEBREW_GITHUB_API_TOKEN", "PATH_TOKEN", "ENVIRONMENT_KEY",
    ])
    func `keys and tokens pass`(name: String) throws {
        #expect(try read(name) == [CredentialVariable(envVar: name, value: "secret-value")])
    }

    @Test(arguments: [
        "PATH", "HOME", "DISCOBOT_SECRET", "LD_PRELOAD", "LD_AUDIT", "BASH_ENV", "ENV", "NODE_OPTIONS", "PYTHONPATH",
        "PYTHONSTARTUP", "PERL5OPT", "RUBYOPT", "GIT_SSH_COMMAND", "GIT_SSH", "GIT_ASKPASS", "GIT_CONFIG_COUNT",
        "GIT_CONFIG_KEY_0", "GIT_CONFIG_GLOBAL", "GIT_EXEC_PATH", "EDITOR", "", "1A", "A-B", "A=B", "BASH_FUNC_x%%",
    ])
    func `what makes a program run something else is refused, without its value`(name: String) throws {
        let error = #expect(throws: ServerError.self) { try read(name) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message == "X-Discobot-Credentials must not set \(name)")
    }

    @Test
    func `a value with a zero byte, or no list, is refused`() {
        #expect(throws: ServerError.self) {
            try TurnSecrets.credentials(#"[{"envVar":"A_KEY","value":"a\u0000b"}]"#)
        }
        #expect(throws: ServerError.self) { try TurnSecrets.credentials("A_KEY=b") }
    }
}
