// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import Hummingbird

/// Who the user is.
struct AuthRoutes: Sendable {
    var group: EndpointGroup {
        EndpointGroup(name: "Authentication", endpoints: [.user(.get, "/auth/me", "The user of this request", use: me)])
    }

    private struct UserResponse: Encodable {
        let id: ID<User>
        let email: String
        let name: String?
        let avatarUrl: String?
        let provider: String
    }

    private func me(_ request: APIRequest) async throws -> Response {
        let user = request.user
        return try .json(
            UserResponse(
                id: user.id,
                email: user.email,
                name: user.name,
                avatarUrl: user.avatarURL,
                provider: user.provider
            )
        )
    }
}
