// SPDX-License-Identifier: Apache-2.0

/// Whether a provider can be used, and otherwise why not and what helps.
package struct ProviderState: Sendable, Equatable {
    package struct Problem: Sendable, Equatable {
        package let reason: String
        package let remedy: String

        package init(reason: String, remedy: String) {
            self.reason = reason
            self.remedy = remedy
        }
    }

    package let version: String?
    /// Nil when the provider can be used.
    package let problem: Problem?

    package static func available(version: String?) -> ProviderState {
        ProviderState(version: version, problem: nil)
    }

    package static func unavailable(reason: String, remedy: String) -> ProviderState {
        ProviderState(version: nil, problem: Problem(reason: reason, remedy: remedy))
    }
}
