// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotStore
import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

/// Checks that a request was refused as every refusal must look: a status, and an object with nothing but a reason.
///
/// - Parameter word: what the reason must mention, for example a field; upper and lower case are the same.
func expectRefusal(
    _ answer: TestClient.Answer,
    _ status: Int,
    naming word: String = "",
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(answer.status == status, "\(answer.text.prefix(400))", sourceLocation: sourceLocation)
    #expect(
        answer.headers["content-type"]?.hasPrefix("application/json") == true,
        sourceLocation: sourceLocation
    )
    #expect(answer.json.keys == ["error"], "\(answer.text.prefix(400))", sourceLocation: sourceLocation)
    let reason = answer.json["error"].string ?? ""
    #expect(!reason.isEmpty, sourceLocation: sourceLocation)
    #expect(
        word.isEmpty || reason.lowercased().contains(word.lowercased()),
        "\(reason)",
        sourceLocation: sourceLocation
    )
}

/// Checks the answer that has nothing to return.
func expectSuccess(_ answer: TestClient.Answer, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(answer.status == 200, "\(answer.text.prefix(400))", sourceLocation: sourceLocation)
    #expect(answer.text == #"{"success":true}"#, sourceLocation: sourceLocation)
}

/// JSON text of an object; nil becomes null.
func body(_ fields: [String: Any?]) -> String {
    let object = fields.mapValues { $0 ?? NSNull() }
    guard let data = try? JSONSerialization.data(withJSONObject: object) else { return "not JSON" }
    return String(decoding: data, as: UTF8.self)
}

extension String {
    /// For use as a value of a query, or as one component of a path.
    var escaped: String {
        let plain = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
        return addingPercentEncoding(withAllowedCharacters: plain) ?? ""
    }

    var isUUID: Bool { wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil }
    var isRFC3339: Bool { wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/) != nil }
    var isCommitID: Bool { wholeMatch(of: /[0-9a-f]{40}/) != nil }
}

extension TestClient {
    var port: Int { base.split(separator: ":").last.flatMap { Int($0) } ?? 0 }

    /// Creates a project and returns its id.
    func makeProject(_ name: String = "Other") async throws -> String {
        let created = try await post("/api/projects", body(["name": name]))
        try #require(created.status == 201)
        return try #require(created.json["id"].string)
    }

    /// The news of a project so far, oldest first.
    func events(of project: String = "local") async throws -> [JSON] {
        let path = "/api/projects/\(project)/events?limit=1000"
        return try await send(.get, path, headers: ["Accept": "application/json"]).json["events"].list
    }

    /// Waits until a job of this type on this resource has ended; returns the data of its event.
    @discardableResult
    func ended(job type: String, on resource: String, project: String = "local") async throws -> JSON {
        try await follow("/api/projects/\(project)/events?since=0") { event in
            let data = event.data["data"]
            guard event.type == "job_completed", data["jobType"].string == type else { return nil }
            return data["resourceId"].string == resource ? data : nil
        }
    }
}

extension TestServer {
    /// Stores a session of a workspace, `age` seconds old.
    func insertSession(
        _ id: String,
        workspace: String,
        project: String = "local",
        agent: String? = nil,
        status: SessionStatus = .ready,
        commitStatus: CommitStatus = .none,
        age: Int64 = 0
    ) async throws {
        let time = Timestamp(milliseconds: Timestamp.now.milliseconds - age * 1000)
        let session = Session(
            id: ID(rawValue: id),
            projectID: ID(rawValue: project),
            workspaceID: ID(rawValue: workspace),
            agentID: agent.map { ID(rawValue: $0) },
            name: "Prompt of \(id)",
            status: status,
            commitStatus: commitStatus,
            createdAt: time,
            updatedAt: time
        )
        try await store.write { try $0.insert(session) }
    }

    /// Stores a workspace without anything behind it; returns its id.
    func insertWorkspace() async throws -> String {
        let workspace = Workspace(
            id: .random(),
            projectID: Project.localID,
            path: directory.file("none"),
            displayName: nil,
            sourceType: .local,
            provider: "",
            status: .ready,
            errorMessage: nil,
            commit: nil,
            createdAt: .now,
            updatedAt: .now
        )
        try await store.write { try $0.insert(workspace) }
        return workspace.id.rawValue
    }

    /// Creates a workspace of a new repository and waits until it is ready; returns its id.
    func makeLocalWorkspace(_ name: String = "repository", project: String = "local") async throws -> String {
        let path = try await directory.makeRepository(name)
        let workspace = try await client.makeWorkspace(body(["path": path]), project: project)
        try #require(workspace["status"].string == "ready", "\(workspace)")
        return try #require(workspace["id"].string)
    }
}
