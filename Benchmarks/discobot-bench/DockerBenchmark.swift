// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

/// Sessions of the provider docker, next to bare containers of the same image in the same run.
struct DockerBenchmark: AsyncParsableCommand {
    enum Measure: String, ExpressibleByArgument {
        /// From the request for a session to its being ready, one after another, with its stages.
        case ready
        /// The same for many at once.
        case burst
        /// From the request for a stopped session to its being ready again.
        case restart
        /// What is left after many have been made and removed; fails when that is more than before.
        case leaks
    }

    static let configuration = CommandConfiguration(commandName: "docker")

    @Argument var measure: Measure
    @Option var port: Int
    @Option var workspace: String
    @Option(help: "The agent of the sessions.") var agent: String
    @Option(help: "As in DOCKER_HOST.") var engine = ""
    @Option(help: "The image of sessions and of bare containers.") var image: String
    @Option(help: "The network of the sessions.") var network = "none"
    @Option(help: "Sessions.") var count = 20
    @Option(help: "Process id of the server, for its descriptors and memory.") var server = 0
    @Option(help: "Where the server keeps the files of its sandboxes.") var directory = ""

    func run() async throws {
        let engine = BareEngine(host: engine, image: image, network: network)
        try await ChatClient.with(port: port, workspace: workspace, agent: agent) { client in
            switch measure {
            case .ready: try await measureReady(client, engine)
            case .burst: try await measureBurst(client, engine)
            case .restart: try await measureRestart(client, engine)
            case .leaks: try await measureLeaks(client, engine)
            }
        }
    }

    /// In turn, so that both meet the same machine.
    private func measureReady(_ client: ChatClient, _ engine: BareEngine) async throws {
        var creates: [Duration] = []
        var starts: [Duration] = []
        var sessions: [Duration] = []
        var stages: [String: [Duration]] = [:]
        for _ in 0..<count {
            let (container, create) = try await timed { try await engine.create() }
            starts.append(try await timed { try await engine.start(container) }.1)
            creates.append(create)
            try await engine.remove(container)
            let (session, ready) = try await client.makeSession()
            sessions.append(ready)
            for (name, time) in try await Self.stages(of: session, client) { stages[name, default: []].append(time) }
            try await client.removeSession(session)
        }
        let bare = zip(creates, starts).map { $0 + $1 }
        reportRow("bare `docker create`", creates, beside: bare)
        reportRow("bare `docker start`", starts, beside: bare)
        reportRow("bare `docker create` and `start`", bare, beside: bare)
        reportRow("session, from request to ready", sessions, beside: bare)
        for (name, times) in stages.sorted(by: { $0.key < $1.key }) {
            reportRow("… of which `\(name)`", times, beside: bare)
        }
    }

    private func measureBurst(_ client: ChatClient, _ engine: BareEngine) async throws {
        let bare = try await allAtOnce {
            let start = ContinuousClock.now
            let container = try await engine.create()
            try await engine.start(container)
            return (container, ContinuousClock.now - start)
        }
        for (container, _) in bare { try await engine.remove(container) }
        let sessions = try await allAtOnce { try await client.makeSession() }
        for (session, _) in sessions { try await client.removeSession(session) }
        reportRow("\(count) bare `docker create` and `start` at once", bare.map(\.1), beside: bare.map(\.1))
        reportRow("\(count) sessions at once", sessions.map(\.1), beside: bare.map(\.1))
    }

    private func measureRestart(_ client: ChatClient, _ engine: BareEngine) async throws {
        let container = try await engine.create()
        try await engine.start(container)
        let session = try await client.makeSession().id
        var bare: [Duration] = []
        var sessions: [Duration] = []
        for _ in 0..<count {
            try await engine.stop(container)
            bare.append(try await timed { try await engine.start(container) }.1)
            let stop = ContinuousClock.now
            try await client.setStatus("stopped", of: session)
            _ = try await client.time(of: session, becoming: "stopped", since: stop)
            // The row says so before the sandbox has ended, which a new start waits for.
            while try await engine.isRunning("discobot-session-\(session)") {
                try await Task.sleep(for: .milliseconds(20))
            }
            // And so does the container before the job has.
            try await Task.sleep(for: .milliseconds(100))
            let start = ContinuousClock.now
            try await client.setStatus("reinitializing", of: session)
            sessions.append(try await client.time(of: session, becoming: "ready", since: start))
        }
        try await engine.remove(container)
        try await client.removeSession(session)
        reportRow("bare `docker start` of a stopped container", bare, beside: bare)
        reportRow("stopped session, from request to ready", sessions, beside: bare)
    }

    private func measureLeaks(_ client: ChatClient, _ engine: BareEngine) async throws {
        // What the first one leaves is for all: the project's cache, connections.
        try await client.removeSession(try await client.makeSession().id)
        let before = try await leftovers(engine)
        let start = ContinuousClock.now
        for _ in 0..<count { try await client.removeSession(try await client.makeSession().id) }
        let time = (ContinuousClock.now - start) / .seconds(1)
        var after = try await leftovers(engine)
        // Engines and servers may still be at the last one.
        let deadline = ContinuousClock.now + .seconds(10)
        while !Self.differing(before, after).isEmpty, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(100))
            after = try await leftovers(engine)
        }
        for name in after.keys.sorted() {
            report("| \(name) | \(before[name] ?? 0) | \(after[name] ?? 0) |")
        }
        report("| time, s | | \(String(format: "%.1f", time)) |")
        let differing = Self.differing(before, after)
        guard differing.isEmpty else {
            FileHandle.standardError.write(Data("error: left over: \(differing.joined(separator: ", "))\n".utf8))
            throw ExitCode.failure
        }
    }

    private static let files = "files, directories and sockets of sandboxes"

    /// What a session must not leave; descriptors and memory come and go.
    private static func differing(_ before: [String: Int], _ after: [String: Int]) -> [String] {
        ["containers", "volumes", "networks", files].filter { before[$0] != after[$0] }
    }

    private func leftovers(_ engine: BareEngine) async throws -> [String: Int] {
        var counts = try await engine.counts()
        let files = FileManager.default.enumerator(atPath: directory)?.reduce(into: 0) { count, _ in count += 1 }
        counts[Self.files] = files ?? 0
        let descriptors = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(server)/fd")
        counts["descriptors of the server"] = descriptors?.count ?? 0
        let pages = try? String(contentsOfFile: "/proc/\(server)/statm", encoding: .utf8).split(separator: " ")[1]
        counts["resident memory of the server, kB"] = (pages.flatMap { Int($0) } ?? 0) * Int(getpagesize()) / 1024
        return counts
    }

    private func timed<Value>(_ body: () async throws -> Value) async throws -> (Value, Duration) {
        let start = ContinuousClock.now
        let value = try await body()
        return (value, ContinuousClock.now - start)
    }

    private func allAtOnce(
        _ body: @escaping @Sendable () async throws -> (String, Duration)
    ) async throws -> [(String, Duration)] {
        try await withThrowingTaskGroup(of: (String, Duration).self) { group in
            for _ in 0..<count { group.addTask { try await body() } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    private func reportRow(_ what: String, _ times: [Duration], beside bare: [Duration]) {
        let (times, bare) = (times.sorted(), bare.sorted())
        func ratio(_ share: Double) -> String {
            guard let own = Double(times.percentile(share)), let other = Double(bare.percentile(share)) else {
                return "-"
            }
            return String(format: "%.2f", own / other)
        }
        report(
            "| \(what) | \(times.count) | \(times.percentile(0.5)) | \(times.percentile(0.99)) "
                + "| \(ratio(0.5)) | \(ratio(0.99)) |"
        )
    }
}

extension DockerBenchmark {
    private struct Session: Decodable {
        struct Stage: Decodable {
            let stage: String
            let durationMs: Int64?
        }

        let stages: [Stage]?
    }

    fileprivate static func stages(
        of id: String,
        _ client: ChatClient
    ) async throws -> [(name: String, time: Duration)] {
        let session = try JSONDecoder().decode(Session.self, from: try await client.session(id))
        return (session.stages ?? []).map { ($0.stage, .milliseconds($0.durationMs ?? 0)) }
    }
}
