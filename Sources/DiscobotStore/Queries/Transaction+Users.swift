// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

extension Transaction {
    /// Stores a user unless the id exists.
    package func seed(_ user: User, providerID: String) throws {
        let now = Timestamp.now
        try execute(
            """
            INSERT INTO users (id, email, name, avatar_url, provider, provider_id, created_at, updated_at)
            VALUES (\(user.id), \(user.email), \(user.name), \(user.avatarURL), \(user.provider), \(providerID),
                \(now), \(now))
            ON CONFLICT (id) DO NOTHING
            """
        )
    }
}

extension User {
    static let columns: SQL = "users.email, users.name AS user_name, users.avatar_url, users.provider"

    init(_ row: SQLRow, idColumn: String) throws {
        self.init(
            id: try row.value(idColumn),
            email: try row.value("email"),
            name: try row.value("user_name"),
            avatarURL: try row.value("avatar_url"),
            provider: try row.value("provider")
        )
    }
}
