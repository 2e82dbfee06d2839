// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import DiscobotServices
import Hummingbird

/// A user's own preferences.
struct PreferenceRoutes: Sendable {
    let preferences: PreferenceService

    var group: EndpointGroup {
        let key = [EndpointParameter.path("key", example: "editor.theme")]
        return EndpointGroup(
            name: "Preferences",
            endpoints: [
                .user(.get, "/api/preferences", "All preferences of the user", use: list),
                .user(
                    .put,
                    "/api/preferences",
                    "Set several preferences at once",
                    body: ["preferences": ["editor.theme": "dark"]],
                    use: putAll
                ),
                .user(.get, "/api/preferences/{key}", "One preference", key, use: get),
                .user(.put, "/api/preferences/{key}", "Set a preference", key, body: ["value": "dark"], use: put),
                .user(.delete, "/api/preferences/{key}", "Remove a preference", key, use: delete),
            ]
        )
    }

    private struct PreferenceResponse: Encodable {
        let key: String
        let value: String
        let updatedAt: Timestamp

        init(_ preference: Preference) {
            key = preference.key
            value = preference.value
            updatedAt = preference.updatedAt
        }
    }

    private struct ListResponse: Encodable {
        let preferences: [PreferenceResponse]

        init(_ preferences: [Preference]) {
            self.preferences = preferences.map(PreferenceResponse.init)
        }
    }

    private func list(_ request: APIRequest) async throws -> Response {
        try .json(ListResponse(await preferences.list(of: request.user.id)))
    }

    private struct PutAllRequest: Decodable {
        let preferences: [String: String]
    }

    private func putAll(_ request: APIRequest) async throws -> Response {
        let values = try await request.body(PutAllRequest.self).preferences
        return try .json(ListResponse(await preferences.put(values, of: request.user.id)))
    }

    private func get(_ request: APIRequest) async throws -> Response {
        let key = try request.parameter("key")
        return try .json(PreferenceResponse(await preferences.get(key, of: request.user.id)))
    }

    private struct PutRequest: Decodable {
        let value: String
    }

    private func put(_ request: APIRequest) async throws -> Response {
        let key = try request.parameter("key")
        let value = try await request.body(PutRequest.self).value
        let stored = try await preferences.put([key: value], of: request.user.id)
        return try .json(stored.map(PreferenceResponse.init)[0])
    }

    private func delete(_ request: APIRequest) async throws -> Response {
        try await preferences.delete(request.parameter("key"), of: request.user.id)
        return try .success()
    }
}
