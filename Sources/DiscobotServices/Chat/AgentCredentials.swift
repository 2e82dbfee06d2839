// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI

/// The keys that agents get for their turns, by what they can use.
package struct AgentCredentials: Sendable {
    /// Variables of agents that are no keys and go along with them: another address for the vendor's API.
    private static let companions = [
        "anthropic": ["ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"]
    ]

    /// All variables that agents may get.
    package static let variableNames = AuthProvider.all.flatMap { $0.env + companions[$0.id, default: []] }

    private let environment: [String: String]

    /// - Parameter environment: the server's own, of which agents get the variables of their vendors.
    package init(environment: [String: String]) {
        self.environment = environment
    }

    package func variables(for agentType: String) -> [CredentialVariable] {
        guard let type = AgentType.all.first(where: { $0.id == agentType }) else { return [] }
        let providers = AuthProvider.all.filter { provider in
            type.supportedAuthProviders.contains { $0 == "*" || $0 == provider.id }
        }
        return providers.flatMap { $0.env + Self.companions[$0.id, default: []] }.compactMap { name in
            environment[name].map { CredentialVariable(envVar: name, value: $0) }
        }
    }
}
