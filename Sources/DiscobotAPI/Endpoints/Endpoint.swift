// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import HTTPTypes
import Hummingbird

/// One line of the route table: how a call is made, what it is for, who may make it, and who answers.
struct Endpoint: Sendable {
    typealias Handler = @Sendable (APIRequest) async throws -> Response
    typealias ProjectHandler = @Sendable (APIRequest, ID<Project>) async throws -> Response

    enum Access: Sendable {
        /// No user is needed.
        case open(Handler)
        /// Any user who is logged in.
        case user(Handler)
        /// Members of the project in the path who have at least this role.
        case project(ProjectRole, ProjectHandler)
    }

    let method: HTTPRequest.Method
    /// As Hummingbird reads it, for example `/api/projects/{projectId}/agents`.
    let pattern: String
    let summary: String
    let parameters: [EndpointParameter]
    let body: JSONValue?
    let access: Access

    static func open(
        _ method: HTTPRequest.Method,
        _ pattern: String,
        _ summary: String,
        use handler: @escaping Handler
    ) -> Endpoint {
        Endpoint(method: method, pattern: pattern, summary: summary, parameters: [], body: nil, access: .open(handler))
    }

    static func user(
        _ method: HTTPRequest.Method,
        _ pattern: String,
        _ summary: String,
        _ parameters: [EndpointParameter] = [],
        body: JSONValue? = nil,
        use handler: @escaping Handler
    ) -> Endpoint {
        Endpoint(
            method: method,
            pattern: pattern,
            summary: summary,
            parameters: parameters,
            body: body,
            access: .user(handler)
        )
    }

    /// - Parameter pattern: what follows `/api/projects/{projectId}`.
    static func project(
        _ method: HTTPRequest.Method,
        _ pattern: String,
        _ summary: String,
        _ parameters: [EndpointParameter] = [],
        body: JSONValue? = nil,
        role: ProjectRole = .member,
        use handler: @escaping ProjectHandler
    ) -> Endpoint {
        Endpoint(
            method: method,
            pattern: "/api/projects/{projectId}\(pattern)",
            summary: summary,
            parameters: [.path("projectId", example: Project.localID.rawValue)] + parameters,
            body: body,
            access: .project(role, handler)
        )
    }

    /// How many parts of `path` the pattern names literally; nil when the path has another form.
    fileprivate func literalMatches(in path: String) -> Int? {
        let wanted = pattern.split(separator: "/")
        let given = path.split(separator: "/")
        guard wanted.count == given.count else { return nil }
        guard zip(wanted, given).allSatisfy({ $0.hasPrefix("{") || $0 == $1 }) else { return nil }
        return wanted.count { !$0.hasPrefix("{") }
    }
}

extension [Endpoint] {
    /// The methods of a path; where several patterns fit, those of the most literal one, as the router decides.
    func methods(of path: String) -> [HTTPRequest.Method] {
        let matches = compactMap { endpoint in endpoint.literalMatches(in: path).map { (endpoint.method, $0) } }
        let most = matches.map(\.1).max()
        let methods = matches.filter { $0.1 == most }.map(\.0)
        return methods.flatMap { $0 == .get ? [.get, .head] : [$0] }
    }
}

/// A parameter of a call, as `/api/routes` describes it.
struct EndpointParameter: Sendable, Encodable {
    private enum CodingKeys: String, CodingKey {
        case name, location = "in", isRequired = "required", example
    }

    let name: String
    private let location: String
    private let isRequired: Bool
    private let example: String?

    static func path(_ name: String, example: String? = nil) -> EndpointParameter {
        EndpointParameter(name: name, location: "path", isRequired: true, example: example)
    }

    static func query(_ name: String, isRequired: Bool = false, example: String? = nil) -> EndpointParameter {
        EndpointParameter(name: name, location: "query", isRequired: isRequired, example: example)
    }

    /// What every list that can grow takes.
    static let page = [query("limit", example: "50"), query("cursor")]
}

/// The calls about one noun.
struct EndpointGroup: Sendable {
    let name: String
    let endpoints: [Endpoint]
}
