// SPDX-License-Identifier: Apache-2.0

/// A person who uses the server.
package struct User: Sendable, Equatable {
    package let id: ID<User>
    package let email: String
    package let name: String?
    package let avatarURL: String?
    package let provider: String

    package init(id: ID<User>, email: String, name: String?, avatarURL: String?, provider: String) {
        self.id = id
        self.email = email
        self.name = name
        self.avatarURL = avatarURL
        self.provider = provider
    }

    /// Who every request acts as while authentication is off; seeded at each start.
    package static let anonymous = User(
        id: "00000000-0000-0000-0000-000000000001",
        email: "anonymous@local",
        name: "Anonymous User",
        avatarURL: nil,
        provider: "local"
    )
}
