// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing
import discobot_server

/// Starting, stopping and running into trouble, as a process.
@Suite(.timeLimit(.minutes(10)))
struct LifecycleTests {
    @Test
    func `SIGTERM ends open streams and the process with code 0`() async throws {
        try await TemporaryDirectory.with { directory in
            let server = try await ServerProcess(in: directory, port: try ServerProcess.freePort())
            let client = server.client
            try await withThrowingTaskGroup(of: Void.self) { group in
                let (connected, continuation) = AsyncStream.makeStream(of: Void.self)
                group.addTask {
                    // Ends with an error, because the stream does.
                    try? await client.follow("/api/projects/local/events") { event -> Never? in
                        if event.type == "connected" { continuation.yield() }
                        return nil
                    }
                    continuation.finish()
                }
                for await _ in connected { break }
                #expect(await server.terminate() == 0)
                try await group.waitForAll()
            }
        }
    }

    @Test
    func `SIGTERM does not wait for a remote that is silent`() async throws {
        try await TemporaryDirectory.with { directory in
            let silent = try ListeningSocket()
            defer { silent.close() }
            let server = try await ServerProcess(in: directory, port: try ServerProcess.freePort())
            let client = server.client
            let repository = try await directory.makeRepository()
            let workspace = try await client.makeWorkspace(#"{"path":"\#(repository)"}"#)
            try await Shell.run(#"git -C "$0" remote add origin "git://127.0.0.1:$1/x""#, repository, "\(silent.port)")
            async let fetch = client.send(
                .post,
                "/api/projects/local/workspaces/\(workspace["id"].string ?? "")/git/fetch"
            )
            let peer = try #require(await silent.waitForPeer())
            defer { peer.close() }
            #expect(await server.terminate() == 0)
            _ = try? await fetch
        }
    }

    @Test
    func `what was stored is there after a restart`() async throws {
        try await TemporaryDirectory.with { directory in
            let port = try ServerProcess.freePort()
            let first = try await ServerProcess(in: directory, port: port)
            #expect(try await first.client.put("/api/preferences/a", #"{"value":"kept"}"#).status == 200)
            #expect(await first.terminate() == 0)
            let second = try await ServerProcess(in: directory, port: port)
            #expect(try await second.client.get("/api/preferences/a").json["value"].string == "kept")
            #expect(await second.terminate() == 0)
        }
    }

    @Test
    func `waits for a port that is in use`() async throws {
        try await TemporaryDirectory.with { directory in
            let squatter = try ListeningSocket()
            async let server = ServerProcess(in: directory, port: squatter.port)
            try await eventually { directory.log.contains("the port is in use; waiting for it") }
            squatter.close()
            #expect(try await server.client.get("/health").status == 200)
            #expect(try await server.terminate() == 0)
        }
    }

    @Test
    func `gives up on a port with a clear error`() async throws {
        let squatter = try ListeningSocket()
        defer { squatter.close() }
        let error = await #expect(throws: ServerError.self) {
            try await TestServer.with {
                $0.port = squatter.port
                $0.startTimeout = .zero
            } _: { _ in
            }
        }
        #expect(error?.message.contains("PORT: another process uses port \(squatter.port)") == true)
    }

    @Test
    func `more clients than the system's first limit of open files allows are served`() async throws {
        try await TemporaryDirectory.with { directory in
            let port = try ServerProcess.freePort()
            let server = try await ServerProcess(
                in: directory,
                port: port,
                command: ["prlimit", "--nofile=64:1024"]
            )
            let clients = try (0..<200).map { _ in try RawConnection(port: port) }
            defer { for client in clients { client.close() } }
            for client in clients {
                client.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                #expect(await client.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200"))
            }
            #expect(await server.terminate() == 0)
        }
    }

    @Test
    func `a full disk refuses what cannot be stored, keeps the rest and recovers`() async throws {
        try await TemporaryDirectory.with { directory in
            // A file system of its own, so small that it fills up; in namespaces, so that any user can mount it.
            let port = try ServerProcess.freePort()
            try FileManager.default.createDirectory(atPath: directory.file("data"), withIntermediateDirectories: false)
            let script = """
                mount -t tmpfs -o size=1500k tmpfs "$0/data" && exec "$1"
                """
            let server = try await ServerProcess(
                in: directory,
                port: port,
                command: ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", script, directory.path]
            )
            #expect(try await server.client.put("/api/preferences/kept", #"{"value":"v"}"#).status == 200)
            let large = String(repeating: "x", count: 300_000)
            var statuses: [Int] = []
            for index in 0..<10 {
                let answer = try await server.client.put("/api/preferences/large-\(index)", #"{"value":"\#(large)"}"#)
                statuses.append(answer.status)
                if answer.status != 200 { #expect(answer.json["error"].string?.contains("disk is full") == true) }
            }
            #expect(statuses.contains(507))
            #expect(Set(statuses).isSubset(of: [200, 507]))
            #expect(try await server.client.get("/api/preferences/kept").json["value"].string == "v")
            #expect(try await server.client.get("/ready").status == 200)
            #expect(await server.terminate() == 0)
        }
    }
}

extension TemporaryDirectory {
    fileprivate var log: String {
        (try? String(contentsOfFile: file("server.log"), encoding: .utf8)) ?? ""
    }
}
