// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

/// A server that is killed at any moment, as by a power button or the kernel.
@Suite(.timeLimit(.minutes(20)))
struct CrashTests {
    /// What must hold however often the server died: every workspace is settled, the log has no hole and no duplicate,
    /// no job is left, and nothing half done lies about.
    private func checkRecovery(_ client: TestClient, workspaces: Set<String>, in directory: TemporaryDirectory)
        async throws
    {
        for id in workspaces { try await client.settled(workspace: id) }
        let listed = try await client.get("/api/projects/local/workspaces").json["workspaces"].list
        #expect(Set(listed.compactMap(\.["id"].string)) == workspaces)
        for workspace in listed where workspace["status"].string == "ready" {
            let status = try await client.get(
                "/api/projects/local/workspaces/\(workspace["id"].string ?? "")/git/status"
            )
            #expect(status.json["isClean"].bool == true, "\(status.text)")
        }
        try await checkEvents(client)
        let clones = try directory.contents("data/workspaces/local/workspaces")
        #expect(clones.allSatisfy { workspaces.contains($0) }, "left over: \(clones)")
    }

    private func checkEvents(_ client: TestClient) async throws {
        var sequences: [Int] = []
        var jobs: [String] = []
        var cursor: String? = "0"
        while let after = cursor {
            let page = try await client.send(
                .get,
                "/api/projects/local/events?limit=1000&after=\(after)",
                headers: ["Accept": "application/json"]
            ).json
            sequences += page["events"].list.compactMap { $0["seq"].int }
            jobs += page["events"].list.filter { $0["type"].string == "job_completed" }
                .compactMap { $0["data"]["jobId"].string }
            cursor = page["nextCursor"].string
        }
        #expect(sequences == Array(1...(sequences.last ?? 1)))
        #expect(Set(jobs).count == jobs.count, "a job ended twice")
    }

    @Test
    func `fifty kills at random moments lose nothing and leave nothing half done`() async throws {
        try await TemporaryDirectory.with { directory in
            let source = try await directory.makeLargeRepository("source", commits: 500)
            let port = try ServerProcess.freePort()
            let environment = ["JOB_MAX_ATTEMPTS": "100"]
            var workspaces: Set<String> = []
            var acknowledged = 0
            for round in 0..<50 {
                let server = try await ServerProcess(in: directory, port: port, environment: environment)
                let client = server.client
                let created = try await client.post(
                    "/api/projects/local/workspaces",
                    #"{"path":"file://\#(source)","sourceType":"git"}"#
                )
                if let id = created.json["id"].string { workspaces.insert(id) }
                acknowledged = await Self.write(
                    to: client,
                    from: acknowledged,
                    until: Int.random(in: 0...60),
                    round: round
                )
                server.kill()
            }
            let server = try await ServerProcess(in: directory, port: port, environment: environment)
            #expect(workspaces.count == 50)
            let stored = try await server.client.get("/api/preferences/counter").json["value"].string
            #expect(Int(stored ?? "") ?? -1 >= acknowledged, "an acknowledged write was lost")
            try await checkRecovery(server.client, workspaces: workspaces, in: directory)
            let log = try String(contentsOfFile: directory.file("server.log"), encoding: .utf8)
            #expect(log.contains("job of a lost worker taken over"), "no kill has hit a running job")
            #expect(await server.terminate() == 0)
        }
    }

    /// Counts up in a preference until the server is to be killed; returns the last number that it acknowledged.
    private static func write(to client: TestClient, from start: Int, until count: Int, round: Int) async -> Int {
        var last = start
        for _ in 0...count {
            guard let answer = try? await client.put("/api/preferences/counter", #"{"value":"\#(last + 1)"}"#),
                answer.status == 200
            else { break }
            last += 1
        }
        return last
    }

    @Test
    func `a workspace that kills the server each time is given up`() async throws {
        try await TemporaryDirectory.with { directory in
            let remote = try ListeningSocket()
            defer { remote.close() }
            let port = try ServerProcess.freePort()
            let environment = ["JOB_MAX_ATTEMPTS": "2"]
            var id: String?
            for _ in 0..<2 {
                let server = try await ServerProcess(in: directory, port: port, environment: environment)
                if id == nil {
                    id = try await server.client.post(
                        "/api/projects/local/workspaces",
                        #"{"path":"http://127.0.0.1:\#(remote.port)/silent.git","sourceType":"git"}"#
                    ).json["id"].string
                }
                let clone = try #require(await remote.waitForPeer())
                server.kill()
                clone.close()
            }
            let server = try await ServerProcess(in: directory, port: port, environment: environment)
            let workspace = try await server.client.settled(workspace: try #require(id))
            #expect(workspace["status"].string == "error")
            #expect(workspace["errorMessage"].string == "the server ended while the job ran")
            #expect(await server.terminate() == 0)
        }
    }

    @Test
    func `a clone of a killed server ends before the next server clones`() async throws {
        try await TemporaryDirectory.with { directory in
            let remote = try ListeningSocket()
            defer { remote.close() }
            let port = try ServerProcess.freePort()
            let first = try await ServerProcess(in: directory, port: port)
            let created = try await first.client.post(
                "/api/projects/local/workspaces",
                #"{"path":"http://127.0.0.1:\#(remote.port)/silent.git","sourceType":"git"}"#
            )
            let id = try #require(created.json["id"].string)
            let old = try #require(await remote.waitForPeer())
            defer { old.close() }
            first.kill()
            #expect(await !old.ends(within: 0), "a killed server should leave its git behind")

            let second = try await ServerProcess(in: directory, port: port)
            let new = try #require(await remote.waitForPeer())
            defer { new.close() }
            #expect(await old.ends(within: 240_000))
            #expect(await !new.ends(within: 0))

            let path = "/api/projects/local/workspaces/\(id)?deleteFiles=true"
            #expect(try await second.client.delete(path).status == 200)
            #expect(await new.ends(within: 240_000))
            let _: Bool = try await second.client.follow("/api/projects/local/events?after=0") { event in
                event.data["data"]["jobType"].string == "workspace_remove_files" ? true : nil
            }
            #expect(await second.terminate() == 0)
            #expect(!directory.exists("data/workspaces/local"))
        }
    }

    @Test
    func `kills while it starts lose nothing, and no clone runs twice at once`() async throws {
        try await TemporaryDirectory.with { directory in
            let source = try await directory.makeLargeRepository("source", commits: 100)
            try Self.watchClones(in: directory)
            let port = try ServerProcess.freePort()
            let environment = ["JOB_MAX_ATTEMPTS": "100"]
            let start = ContinuousClock.now
            let first = try await ServerProcess(in: directory, port: port, environment: environment)
            let startTime = ContinuousClock.now - start
            var workspaces: Set<String> = []
            for _ in 0..<4 {
                let created = try await first.client.post(
                    "/api/projects/local/workspaces",
                    #"{"path":"file://\#(source)","sourceType":"git"}"#
                )
                if let id = created.json["id"].string { workspaces.insert(id) }
            }
            // So that at least this kill hits clones, which take a while.
            while !directory.exists("clones") { try await Task.sleep(for: .milliseconds(1)) }
            first.kill()
            for _ in 0..<30 {
                let server = try await ServerProcess(
                    in: directory,
                    port: port,
                    environment: environment,
                    isAwaited: false
                )
                try await Task.sleep(for: startTime * Double.random(in: 0...1.5))
                server.kill()
            }
            let server = try await ServerProcess(in: directory, port: port, environment: environment)
            #expect(workspaces.count == 4)
            try await checkRecovery(server.client, workspaces: workspaces, in: directory)
            let begun = try String(contentsOfFile: directory.file("clones"), encoding: .utf8).split(separator: "\n")
            #expect(Set(begun.map(String.init)) == workspaces)
            #expect(begun.count > workspaces.count, "no kill has hit a clone")
            #expect(!directory.exists("overlaps"), "a clone ran twice at once")
            #expect(await server.terminate() == 0)
        }
    }

    /// Has git note each clone in `clones`, and in `overlaps` those that begin while another of the same workspace
    /// runs. A lock ends with its process, however that ends.
    private static func watchClones(in directory: TemporaryDirectory) throws {
        try directory.write(
            """
            #!/bin/sh
            name=$(basename "$DISCOBOT_CLONE")
            exec 9>"\(directory.path)/$name.lock"
            flock -w 0.05 9 || echo "$name" >>"\(directory.path)/overlaps"
            echo "$name" >>"\(directory.path)/clones"
            sleep 0.3
            exec "$@"
            """,
            to: "watch"
        )
        chmod(directory.file("watch"), 0o755)
        try directory.write("[uploadpack]\n\tpackObjectsHook = \(directory.file("watch"))\n", to: ".gitconfig")
    }
}
