// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import DiscobotSandbox
import DiscobotServices
import Hummingbird

/// What helps to make a workspace: checking and completing a path, and the providers to choose from.
struct WorkspaceSourceRoutes: Sendable {
    let sources: WorkspaceSources
    let suggestions: SuggestionService
    let status: StatusService

    var group: EndpointGroup {
        EndpointGroup(
            name: "Workspace sources",
            endpoints: [
                .project(
                    .post,
                    "/workspaces/validate",
                    "Whether a path or URL can become a workspace",
                    body: ["path": "owner/repository", "sourceType": "git"],
                    use: validate
                ),
                .project(.get, "/workspaces/providers", "The sandbox providers", use: providers),
                .project(
                    .get,
                    "/workspaces/providers/{provider}",
                    "One sandbox provider",
                    [.path("provider", example: "local")],
                    use: provider
                ),
                .project(
                    .get,
                    "/suggestions",
                    "Directories that a typed path may become",
                    [.query("q", isRequired: true, example: "~/"), .query("type", example: "path")],
                    use: suggest
                ),
            ]
        )
    }

    private struct ValidateRequest: Decodable {
        let path: String?
        let sourceType: String?
    }

    private struct ValidateResponse: Encodable {
        let path: String
        let sourceType: String
        let valid: Bool
        let classification: String
        let error: String?
        let suggestions: [SuggestionResponse]
    }

    private func validate(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let body = try await request.body(ValidateRequest.self)
        let type = try Workspace.SourceType(checking: try required(body.sourceType, "sourceType is required"))
        let verdict = sources.validate(path: body.path ?? "", sourceType: type)
        let paths = type == .local ? suggestions.paths(for: body.path ?? "") : []
        return try .json(
            ValidateResponse(
                path: verdict.path,
                sourceType: type.rawValue,
                valid: verdict.error == nil,
                classification: verdict.classification,
                error: verdict.error,
                suggestions: paths.map(SuggestionResponse.init)
            )
        )
    }

    private struct ProviderResponse: Encodable {
        let available: Bool
        let state: String
        let version: String?
        let message: String?
        let fix: String?

        init(_ state: ProviderState) {
            available = state.problem == nil
            self.state = available ? "ready" : "unavailable"
            version = state.version
            message = state.problem?.reason
            fix = state.problem?.remedy
        }
    }

    private struct ProviderListResponse: Encodable {
        let providers: [String: ProviderResponse]
        let `default`: String
    }

    private func providers(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let (states, standard) = await status.providerStates()
        let responses = states.map { ($0.name, ProviderResponse($0.state)) }
        return try .json(
            ProviderListResponse(
                providers: Dictionary(responses, uniquingKeysWith: { first, _ in first }),
                default: standard
            )
        )
    }

    private func provider(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let name = try request.parameter("provider")
        guard let state = await status.providerStates().states.first(where: { $0.name == name })?.state else {
            throw ServerError.notFound("Provider not found")
        }
        return try .json(ProviderResponse(state))
    }

    private struct SuggestionResponse: Encodable {
        let value: String
        let type = "path"
        let valid: Bool

        init(_ suggestion: SuggestionService.Suggestion) {
            value = suggestion.path
            valid = suggestion.isRepository
        }
    }

    private struct SuggestionListResponse: Encodable {
        let suggestions: [SuggestionResponse]
    }

    private func suggest(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        if let type = try request.query("type"), type != "path" {
            throw ServerError.invalidArgument("type must be path")
        }
        let paths = suggestions.paths(for: try request.query("q") ?? "")
        return try .json(SuggestionListResponse(suggestions: paths.map(SuggestionResponse.init)))
    }
}
