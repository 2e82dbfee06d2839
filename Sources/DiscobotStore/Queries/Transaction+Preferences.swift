// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

extension Transaction {
    /// All preferences of a user, sorted by key.
    package func preferences(of user: ID<User>) throws -> [Preference] {
        try rows("SELECT key, value, updated_at FROM user_preferences WHERE user_id = \(user) ORDER BY key")
            .map(Preference.init)
    }

    package func preference(_ key: String, of user: ID<User>) throws -> Preference? {
        try row("SELECT key, value, updated_at FROM user_preferences WHERE user_id = \(user) AND key = \(key)")
            .map(Preference.init)
    }

    /// Creates or replaces the preference.
    package func put(_ preference: Preference, of user: ID<User>) throws {
        try execute(
            """
            INSERT INTO user_preferences (user_id, key, value, created_at, updated_at)
            VALUES (\(user), \(preference.key), \(preference.value), \(preference.updatedAt), \(preference.updatedAt))
            ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
            """
        )
    }

    /// False when there was no such preference.
    package func deletePreference(_ key: String, of user: ID<User>) throws -> Bool {
        try execute("DELETE FROM user_preferences WHERE user_id = \(user) AND key = \(key)") > 0
    }
}

extension Preference {
    fileprivate init(_ row: SQLRow) throws {
        self.init(key: try row.value("key"), value: try row.value("value"), updatedAt: try row.value("updated_at"))
    }
}
