// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotStore

/// What users keep at the server for their clients; nobody sees another user's.
package struct PreferenceService: Sendable {
    private let store: Store

    package init(store: Store) {
        self.store = store
    }

    /// All preferences of a user, sorted by key.
    package func list(of user: ID<User>) async throws -> [Preference] {
        try await store.read { try $0.preferences(of: user) }
    }

    /// Throws `notFound`.
    package func get(_ key: String, of user: ID<User>) async throws -> Preference {
        guard let preference = try await store.read({ try $0.preference(key, of: user) }) else { throw Self.notFound }
        return preference
    }

    /// Creates or replaces preferences, all or none; returns them sorted by key. Throws `invalidArgument`.
    package func put(_ values: [String: String], of user: ID<User>) async throws -> [Preference] {
        guard values.keys.allSatisfy({ !$0.isEmpty }) else { throw ServerError.invalidArgument("Key is required") }
        let now = Timestamp.now
        let preferences = values.map { Preference(key: $0.key, value: $0.value, updatedAt: now) }
            .sorted { $0.key < $1.key }
        try await store.write { transaction in
            for preference in preferences { try transaction.put(preference, of: user) }
        }
        return preferences
    }

    /// Throws `notFound`.
    package func delete(_ key: String, of user: ID<User>) async throws {
        guard try await store.write({ try $0.deletePreference(key, of: user) }) else { throw Self.notFound }
    }

    private static let notFound = ServerError.notFound("Preference not found")
}
