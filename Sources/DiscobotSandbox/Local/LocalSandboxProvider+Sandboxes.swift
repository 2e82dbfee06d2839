// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
import FoundationEssentials
import Glibc

extension LocalSandboxProvider {
    package func create(_ specification: SandboxSpecification) async throws {
        guard let session = files.session(specification.sessionID) else {
            throw SandboxError(.failed, "a session's id has letters, digits and hyphens only, at most 65")
        }
        try await queue.run(specification.sessionID) {
            try await end(session)
            try await clear(session)
            try files.prepare()
            for directory in [session.directory, session.data, session.data + "/home"] {
                try PrivateFile.makeDirectory(directory)
            }
            try write(LocalSandboxRecord(specification: specification, createdAt: .now), session)
        }
        feed.publish(specification.sessionID)
    }

    package func stop(_ id: ID<Session>) async throws {
        guard let session = files.session(id) else { throw Self.unknown }
        try await queue.run(id) {
            guard try record(session) != nil else { throw Self.unknown }
            try await end(session)
        }
        feed.publish(id)
    }

    package func remove(_ id: ID<Session>, keepingData: Bool) async throws {
        guard let session = files.session(id) else { return }
        try await queue.run(id) {
            try await end(session)
            if keepingData {
                try await clear(session)
            } else {
                // From here on there is none, whatever happens.
                unlink(session.record)
                try await discard(session.directory)
            }
            await watch.forget(id)
        }
        feed.publish(id)
    }

    package func sandbox(of id: ID<Session>) async throws -> Sandbox? {
        guard let session = files.session(id), let record = try record(session) else { return nil }
        let isRunning = try isRunning(session)
        if isRunning { try await watch.follow(id, LifeLine(path: session.alive)) }
        return try record.sandbox(
            isRunning: isRunning,
            end: try Self.end(of: session),
            wasAsked: PrivateFile.exists(session.stopping),
            log: { try PrivateFile.read(session.log, limit: 4096) ?? "" }
        )
    }

    package func sandboxes() async throws -> [Sandbox] {
        var sandboxes: [Sandbox] = []
        for id in files.sessionIDs() {
            if let sandbox = try await sandbox(of: id) { sandboxes.append(sandbox) }
        }
        return sandboxes
    }

    package func changes() -> AsyncStream<SandboxChange> {
        feed.changes {
            trash.empty(files.trash)
            return files.sessionIDs()
        } look: { id in
            try await sandbox(of: id)
        }
    }

    package func endpoint(of id: ID<Session>) async throws -> AgentEndpoint {
        guard let session = files.session(id), try record(session) != nil else { throw Self.unknown }
        guard try isRunning(session) else {
            throw SandboxError(.notRunning, "the sandbox does not run")
        }
        return .sandboxSocket(session.agentSocket)
    }

    package func caches(of project: ID<Project>) async throws -> [CacheVolume]? {
        let directory = files.cache(of: project)
        guard PrivateFile.exists(directory) else { return [] }
        let cache = CacheVolume(
            name: "discobot-cache-\(project)",
            driver: name,
            mountpoint: directory,
            createdAt: nil,
            labels: [
                "discobot.managed": "true", "discobot.type": "cache", "discobot.project.id": project.rawValue,
            ]
        )
        return [cache]
    }

    package func removeCache(of project: ID<Project>) async throws {
        let isNeeded = try files.sessionIDs().contains { id in
            guard let session = files.session(id), try record(session)?.specification.projectID == project else {
                return false
            }
            return try isRunning(session)
        }
        // They have it mounted.
        guard !isNeeded else { throw SandboxError(.inUse, "sandboxes of the project run; stop their sessions first") }
        try await discard(files.cache(of: project))
    }

    static var unknown: SandboxError { SandboxError(.notFound, "the session has no sandbox") }

    func isRunning(_ session: LocalSessionFiles) throws -> Bool {
        try LifeLine(path: session.alive).isHeld
    }

    func record(_ session: LocalSessionFiles) throws -> LocalSandboxRecord? {
        guard let text = try PrivateFile.read(session.record) else { return nil }
        return try? JSONDecoder().decode(LocalSandboxRecord.self, from: Data(text.utf8))
    }

    func write(_ record: LocalSandboxRecord, _ session: LocalSessionFiles) throws {
        try PrivateFile.write(String(decoding: try JSONEncoder().encode(record), as: UTF8.self), to: session.record)
    }

    private static func end(of session: LocalSessionFiles) throws -> LocalSandboxEnd? {
        var status = stat()
        guard stat(session.exit, &status) == 0, let note = try PrivateFile.read(session.exit, limit: 64) else {
            return nil
        }
        let time = Int64(status.st_mtim.tv_sec) * 1000 + Int64(status.st_mtim.tv_nsec) / 1_000_000
        return LocalSandboxEnd(note, at: Timestamp(milliseconds: time))
    }

    /// Removes everything of a sandbox but its data.
    private func clear(_ session: LocalSessionFiles) async throws {
        unlink(session.record)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: session.directory)) ?? []
        for name in names where name != "data" { unlink("\(session.directory)/\(name)") }
    }

    /// Removes a directory; it is out of the way at once.
    private func discard(_ path: String) async throws {
        guard PrivateFile.exists(path) else { return }
        try files.prepare()
        let place = "\(files.trash)/\(UUID().uuidString)"
        // Moving fails between file systems, and for directories without write permission.
        guard rename(path, place) == 0 else { return try await PrivateFile.removeTree(path) }
        try await PrivateFile.removeTree(place)
    }
}
