// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotStore
import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing
import discobot_server

/// Workspaces of remote repositories, which the server clones.
@Suite(.timeLimit(.minutes(10)))
struct WorkspaceCloneTests {
    private static let path = "/api/projects/local/workspaces"

    @Test
    func `clones a remote repository and tells how far it is`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let source = try await server.directory.makeLargeRepository("large", commits: 2000)
            let created = try await client.post(Self.path, body(["path": "file://\(source)", "sourceType": "git"]))
            #expect(created.status == 201)
            #expect(created.json["sourceType"].string == "git")
            let id = try #require(created.json["id"].string)
            let workspace = try await client.settled(workspace: id)
            #expect(workspace["status"].string == "ready", "\(workspace)")
            let head = try await Shell.run(#"git -C "$0" rev-parse HEAD"#, source)
            #expect(workspace["commit"].string == head.trimmingCharacters(in: .newlines))
            let clone = "data/workspaces/local/workspaces/\(id)"
            #expect(workspace["workDir"].string == server.directory.file(clone))
            #expect(server.directory.exists("\(clone)/directory1/file1.txt"))
            #expect(try server.directory.contents("data/workspaces/local/workspaces") == [id])

            let news = try await client.events().filter { $0["type"].string == "workspace_updated" }.map(\.["data"])
            #expect(news.first?["status"].string == "initializing")
            #expect(news.last?["status"].string == "ready")
            #expect(news.dropFirst().dropLast().allSatisfy { $0["status"].string == "cloning" })
            let progress = news.filter { !$0["phase"].isNull }
            #expect(!progress.isEmpty)
            #expect(progress.allSatisfy { $0.keys == ["workspaceId", "status", "phase", "progress"] })
            #expect(progress.allSatisfy { (0...100).contains($0["progress"].int ?? -1) })
            #expect(progress.allSatisfy { $0["phase"].string?.isEmpty == false })
            let phases = Dictionary(grouping: progress) { $0["phase"].string }
            #expect(phases.count > 1, "\(phases.keys)")
            for steps in phases.values {
                let percents = steps.compactMap(\.["progress"].int)
                #expect(percents == percents.sorted())
            }
        }
    }

    @Test
    func `clones once for ten requests at once`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let source = try await server.directory.makeLargeRepository("large", commits: 50)
            let created = try await client.post(Self.path, body(["path": "file://\(source)"]))
            let id = try #require(created.json["id"].string)
            let answers = try await withThrowingTaskGroup(of: TestClient.Answer.self) { group in
                for number in 0..<10 {
                    let call = number % 2 == 0 ? "status" : "log?limit=1"
                    group.addTask { try await client.get("\(Self.path)/\(id)/git/\(call)") }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.map(\.status) == Array(repeating: 200, count: 10))
            let commits = answers.map { $0.json["commit"].string ?? $0.json["commits"][0]["sha"].string }
            #expect(Set(commits).count == 1)
            try await client.ended(job: "workspace_init", on: id)
            let jobs = try await client.events().filter { $0["type"].string == "job_completed" }.map(\.["data"])
            #expect(jobs.count == 1)
            #expect(jobs[0].keys == ["jobId", "jobType", "resourceType", "resourceId", "status"])
            #expect(jobs[0]["jobType"].string == "workspace_init")
            #expect(jobs[0]["resourceType"].string == "workspace")
            #expect(jobs[0]["resourceId"].string == id)
            #expect(jobs[0]["status"].string == "completed")
        }
    }

    @Test
    func `says why a clone failed`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let source = server.directory.file("later")
            let workspace = try await client.makeWorkspace(body(["path": "file://\(source)"]))
            #expect(workspace["status"].string == "error")
            #expect(workspace["errorMessage"].string?.contains("later") == true, "\(workspace)")
            #expect(workspace.keys.isDisjoint(with: ["commit", "workDir"]))
            let id = try #require(workspace["id"].string)
            let job = try await client.ended(job: "workspace_init", on: id)
            #expect(job["status"].string == "failed")
            #expect(job["error"].string == workspace["errorMessage"].string)
            #expect(!server.directory.exists("data/workspaces/local/workspaces/\(id)"))

            for call in ["status", "branches", "diff", "files", "file?path=a", "log"] {
                let answer = try await client.get("\(Self.path)/\(id)/git/\(call)")
                expectRefusal(answer, 500, naming: "Failed to initialize workspace: ")
            }
        }
    }

    @Test
    func `prepares a failed workspace again when it gets its path again`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let source = body(["path": "file://\(server.directory.file("later"))"])
            let id = try #require(try await client.makeWorkspace(source)["id"].string)
            _ = try await server.directory.makeRepository("later")
            let again = try await client.put("\(Self.path)/\(id)", source)
            #expect(again.json["status"].string == "initializing")
            #expect(!again.json.keys.contains("errorMessage"))
            #expect(try await client.settled(workspace: id)["status"].string == "ready")
        }
    }

    /// 404 says that the workspace is gone, which it is not.
    @Test
    func `says that a fetch failed when the remote is gone`() async throws {
        try await TestServer.with { server in
            let source = try await server.directory.makeRepository()
            let workspace = try await server.client.makeWorkspace(body(["path": "file://\(source)"]))
            try FileManager.default.removeItem(atPath: source)
            let git = "/api/projects/local/workspaces/\(workspace["id"].string ?? "")/git"
            expectRefusal(try await server.client.send(.post, "\(git)/fetch"), 500, naming: "Failed to fetch")
        }
    }

    @Test
    func `clones an empty repository and one from a path that ends in git`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let empty = server.directory.file("empty.git")
            try await Shell.run(#"git init -q --bare -b main "$0""#, empty)
            for source in [empty, "file://\(empty)"] {
                let workspace = try await client.makeWorkspace(body(["path": source]))
                #expect(workspace["status"].string == "ready", "\(workspace)")
                #expect(workspace["sourceType"].string == "git")
                #expect(!workspace.keys.contains("commit"))
                let git = "\(Self.path)/\(workspace["id"].string ?? "")/git"
                let status = try await client.get("\(git)/status").json
                #expect(status["commit"].string == "" && status["isClean"].bool == true)
                #expect(try await client.get("\(git)/log").json["commits"].isList)
                #expect(try await client.get("\(git)/files").json["files"].isList)
                #expect(try await client.get("\(git)/branches").json["branches"].isList)
            }
        }
    }

    @Test
    func `removes the clone with its workspace only when told to`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let source = body(["path": "file://\(try await server.directory.makeRepository())"])
            let kept = try #require(try await client.makeWorkspace(source)["id"].string)
            let gone = try #require(try await client.makeWorkspace(source)["id"].string)
            expectSuccess(try await client.delete("\(Self.path)/\(kept)"))
            expectSuccess(try await client.delete("\(Self.path)/\(gone)?deleteFiles=true"))
            try await client.ended(job: "workspace_remove_files", on: gone)
            #expect(try server.directory.contents("data/workspaces/local/workspaces") == [kept])
            #expect(server.directory.exists("repository/README.md"))
        }
    }

    @Test
    func `stops cloning and cleans up when the workspace is removed`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let source = try await server.directory.makeLargeRepository("large", commits: 4000)
            let created = try await client.post(Self.path, body(["path": "file://\(source)"]))
            let id = try #require(created.json["id"].string)
            _ = try await client.follow("/api/projects/local/events?since=0") { event in
                event.data["data"]["status"].string == "cloning" ? true : nil
            }
            expectSuccess(try await client.delete("\(Self.path)/\(id)?deleteFiles=true"))
            try await client.ended(job: "workspace_remove_files", on: id)
            #expect(!server.directory.exists("data/workspaces/local"))
        }
    }

    @Test
    func `a project that is removed while it clones leaves no files, with a single attempt`() async throws {
        try await TestServer.with({ $0.maxJobAttempts = 1 }) { server in
            let client = server.client
            let remote = try ListeningSocket()
            defer { remote.close() }
            let project = try #require(try await client.post("/api/projects", #"{"name":"Gone"}"#).json["id"].string)
            let (commits, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
            server.store.changes.listen { _ in continuation.yield() }
            for _ in 0..<3 {
                let source = "http://127.0.0.1:\(remote.port)/silent.git"
                let created = try await client.post("/api/projects/\(project)/workspaces", body(["path": source]))
                #expect(created.status == 201)
                // Never answered: only a signal ends this clone.
                _ = try #require(await remote.waitForPeer())
            }
            #expect(server.directory.exists("data/workspaces/\(project)"))
            expectSuccess(try await client.delete("/api/projects/\(project)"))
            for await _ in commits {
                let isDone = try await server.store.read { transaction in
                    try !transaction.hasActiveJob(on: .project(ID(rawValue: project)))
                }
                if isDone { break }
            }
            #expect(!server.directory.exists("data/workspaces/\(project)"))
        }
    }

    @Test
    func `never clones into two places when the path changes while it clones`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let large = try await server.directory.makeLargeRepository("large", commits: 2000)
            let small = try await server.directory.makeRepository("small")
            let created = try await client.post(Self.path, body(["path": "file://\(large)"]))
            let id = try #require(created.json["id"].string)
            _ = try await client.follow("/api/projects/local/events?since=0") { event in
                event.data["data"]["status"].string == "cloning" ? true : nil
            }
            let changed = try await client.put("\(Self.path)/\(id)", body(["path": "file://\(small)"]))
            #expect(changed.json["status"].string == "initializing")
            let workspace = try await client.settled(workspace: id)
            #expect(workspace["status"].string == "ready", "\(workspace)")
            let files = try await client.get("\(Self.path)/\(id)/git/files").json["files"].list
            #expect(files.map(\.["path"].string) == ["README.md"])
            #expect(try server.directory.contents("data/workspaces/local/workspaces") == [id])
        }
    }

    @Test
    func `clones again what has vanished from the disk`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let source = "file://\(try await server.directory.makeRepository())"
            let workspace = try await client.makeWorkspace(body(["path": source]))
            let id = try #require(workspace["id"].string)
            try FileManager.default.removeItem(atPath: try #require(workspace["workDir"].string))
            let status = try await client.get("\(Self.path)/\(id)/git/status")
            #expect(status.status == 200, "\(status.text)")
            #expect(server.directory.exists("data/workspaces/local/workspaces/\(id)/README.md"))
        }
    }
}
