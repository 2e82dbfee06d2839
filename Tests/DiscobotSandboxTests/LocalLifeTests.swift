// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

/// What becomes of local sandboxes when something else ends, or has ended.
@Suite(.timeLimit(.minutes(10)), .serialized)
struct LocalLifeTests {
    private func with(
        _ kind: ProviderKind,
        script: String = ProviderKind.service,
        configure: (inout LocalSandboxProvider.Configuration) -> Void = { _ in },
        _ body: (LocalSandboxProvider, ID<Session>, TemporaryDirectory) async throws -> Void
    ) async throws {
        try await TemporaryDirectory.with { directory in
            let provider = kind.local(directory, script: script, configure: configure)
            let id = ID<Session>.random()
            try await provider.create(try kind.specification(id, directory))
            let result: Result<Void, any Error>
            do { result = .success(try await body(provider, id, directory)) } catch { result = .failure(error) }
            try await provider.remove(id, keepingData: false)
            #expect(try await Leftovers.areGone(directory.path))
            try result.get()
        }
    }

    /// The state after it no longer runs.
    private func end(_ changes: AsyncStream<SandboxChange>) async -> Sandbox? {
        await changes.first { $0.sandbox?.status != .running && $0.sandbox?.status != .created }?.sandbox
    }

    /// The process id of what runs instead of the runtime, as the host sees it.
    private func runtime(_ id: ID<Session>, _ directory: TemporaryDirectory, _ kind: ProviderKind) throws -> pid_t {
        let launcher = try pid(directory.file("sandboxes/sessions/\(id)/pid"))
        guard kind != .plain else { return try #require(children(launcher).first) }
        let info = try String(contentsOfFile: directory.file("sandboxes/sessions/\(id)/info"), encoding: .utf8)
        let first = try #require(info.firstMatch(of: /"child-pid": (\d+)/).flatMap { pid_t($0.output.1) })
        return try #require(children(first).first)
    }

    private func children(_ pid: pid_t) -> [pid_t] {
        let text = (try? String(contentsOfFile: "/proc/\(pid)/task/\(pid)/children", encoding: .utf8)) ?? ""
        return text.split(separator: " ").compactMap { pid_t($0) }
    }

    private func pid(_ path: String) throws -> pid_t {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        return try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)))
    }

    @Test(arguments: ProviderKind.local)
    func `a killed runtime is told at once`(kind: ProviderKind) async throws {
        try await with(kind) { provider, id, directory in
            try await provider.start(id)
            let changes = provider.changes()
            kill(try runtime(id, directory, kind), SIGKILL)
            #expect(await end(changes)?.status == .stopped)
            try await provider.start(id)
            #expect(try await provider.sandbox(of: id)?.status == .running)
        }
    }

    @Test(arguments: ProviderKind.local)
    func `a runtime that fails says why`(kind: ProviderKind) async throws {
        let script = "echo something is wrong >&2; exit 3"
        try await with(kind, script: script) { provider, id, _ in
            try await provider.start(id)
            let sandbox = await end(provider.changes())
            #expect(sandbox?.status == .failed)
            #expect(sandbox?.error == "exited with code 3: something is wrong")
        }
    }

    @Test(arguments: ProviderKind.local)
    func `nothing outlives a killed launcher`(kind: ProviderKind) async throws {
        try await with(kind) { provider, id, directory in
            try await provider.start(id)
            let changes = provider.changes()
            kill(try pid(directory.file("sandboxes/sessions/\(id)/pid")), SIGKILL)
            #expect(await end(changes)?.status == .stopped)
            // Without a sandbox there is nobody to end the rest, until the next operation.
            if kind == .plain { try await provider.stop(id) }
            #expect(try await Leftovers.areGone(directory.path))
            try await provider.start(id)
            #expect(try await provider.sandbox(of: id)?.status == .running)
        }
    }

    @Test(arguments: ProviderKind.local)
    func `the next server finds what runs, and sees it end`(kind: ProviderKind) async throws {
        try await with(kind) { provider, id, directory in
            try await provider.start(id)
            let next = kind.local(directory)
            let found = try #require(try await next.sandboxes().first)
            #expect(found.sessionID == id)
            #expect(found.status == .running)
            let changes = next.changes()
            try await provider.stop(id)
            #expect(await end(changes)?.status == .stopped)
        }
    }

    @Test(arguments: ProviderKind.local)
    func `a runtime is asked to end before it is made to`(kind: ProviderKind) async throws {
        try await with(kind) {
            $0.endPatience = .seconds(60)
        } _: { provider, id, directory in
            try await provider.start(id)
            let life = directory.file("sandboxes/sessions/\(id)/data/life")
            try await eventually { FileManager.default.fileExists(atPath: life) }
            try await provider.stop(id)
            #expect(try String(contentsOfFile: life, encoding: .utf8) == "began\nended\n")
        }
    }

    @Test(arguments: ProviderKind.local)
    func `a runtime that does not listen is made to end`(kind: ProviderKind) async throws {
        let script =
            "trap '' TERM; cd \"$DISCOBOT_DATA_DIR\"; echo >began; (setsid sleep 1000 &); while :; do sleep 1000; done"
        try await with(kind, script: script) { provider, id, directory in
            try await provider.start(id)
            let began = directory.file("sandboxes/sessions/\(id)/data/began")
            try await eventually { FileManager.default.fileExists(atPath: began) }
            try await provider.stop(id)
            #expect(try await provider.sandbox(of: id)?.status == .stopped)
            #expect(try await Leftovers.areGone(directory.path))
        }
    }

    @Test(arguments: ProviderKind.local)
    func `a stop that is cancelled still waits for an orderly end`(kind: ProviderKind) async throws {
        let script = """
            cd "$DISCOBOT_DATA_DIR"; trap 'echo >asked; sleep 0.5; echo >ended; exit 0' TERM
            echo >began; while :; do sleep 1000 & wait $!; done
            """
        try await with(kind, script: script) {
            $0.endPatience = .seconds(60)
        } _: { provider, id, directory in
            try await provider.start(id)
            let data = directory.file("sandboxes/sessions/\(id)/data")
            try await eventually { FileManager.default.fileExists(atPath: data + "/began") }
            let stop = Task { try await provider.stop(id) }
            try await eventually { FileManager.default.fileExists(atPath: data + "/asked") }
            stop.cancel()
            try await stop.value
            #expect(FileManager.default.fileExists(atPath: data + "/ended"))
        }
    }

    @Test(arguments: ProviderKind.local)
    func `a sandbox whose launcher is not noted ends all the same`(kind: ProviderKind) async throws {
        try await with(kind) { provider, id, directory in
            try await provider.start(id)
            try FileManager.default.removeItem(atPath: directory.file("sandboxes/sessions/\(id)/pid"))
            try await provider.stop(id)
            #expect(try await provider.sandbox(of: id)?.status == .stopped)
            #expect(try await Leftovers.areGone(directory.path))
        }
    }

    @Test
    func `a cache stays as long as sandboxes of its project run`() async throws {
        try await with(.isolated) { provider, id, directory in
            #expect(try await provider.caches(of: "local") == [])
            for _ in 1...2 {
                try await provider.start(id)
                let error = await #expect(throws: SandboxError.self) { try await provider.removeCache(of: "local") }
                #expect(error?.code == .inUse)
                let cache = try #require(try await provider.caches(of: "local")?.first)
                #expect(cache.name == "discobot-cache-local")
                #expect(cache.mountpoint == directory.file("sandboxes/caches/local"))
                #expect(directory.exists("sandboxes/caches/local"))
                try await provider.removeCache(of: "other")
                try await provider.stop(id)
                try await provider.removeCache(of: "local")
                #expect(!directory.exists("sandboxes/caches/local"))
                #expect(try await provider.caches(of: "local") == [])
            }
        }
    }

    @Test(arguments: [ProviderKind.isolated, .plain])
    func `the sandboxes of a project share its cache`(kind: ProviderKind) async throws {
        // Where the runtime finds it unless it is told.
        let script = #"echo >"${DISCOBOT_CACHE_DIR:-/.data/cache}/mine"; exec sleep 1000"#
        try await with(kind, script: script) { provider, id, directory in
            try await provider.start(id)
            try await eventually { directory.exists("sandboxes/caches/local/mine") }
        }
    }

    @Test
    func `what an earlier server did not get to remove is removed`() async throws {
        try await with(.plain) { _, id, directory in
            let left = directory.file("sandboxes/trash/left")
            try FileManager.default.createDirectory(atPath: left + "/data", withIntermediateDirectories: true)
            let next = ProviderKind.plain.local(directory)
            #expect(await next.changes().first { _ in true }?.sessionID == id)
            while FileManager.default.fileExists(atPath: left) { try await Task.sleep(for: .milliseconds(5)) }
        }
    }

    @Test(arguments: ProviderKind.local)
    func `data is kept on request, whatever else goes`(kind: ProviderKind) async throws {
        try await with(kind) { provider, id, directory in
            try await provider.start(id)
            let data = directory.file("sandboxes/sessions/\(id)/data")
            try await eventually { FileManager.default.fileExists(atPath: data + "/life") }
            try await provider.remove(id, keepingData: true)
            #expect(try await provider.sandbox(of: id) == nil)
            #expect(FileManager.default.fileExists(atPath: data + "/life"))
            try await provider.create(try kind.specification(id, directory))
            #expect(FileManager.default.fileExists(atPath: data + "/life"))
            try await provider.remove(id, keepingData: false)
            #expect(!FileManager.default.fileExists(atPath: directory.file("sandboxes/sessions/\(id)")))
        }
    }

    @Test
    func `a file in the data leads nobody out of it`() async throws {
        try await with(.isolated) { provider, id, directory in
            try directory.write("precious", to: "precious")
            let data = directory.file("sandboxes/sessions/\(id)/data")
            try FileManager.default.createSymbolicLink(atPath: data + "/link", withDestinationPath: directory.path)
            try FileManager.default.createDirectory(atPath: data + "/closed/deep", withIntermediateDirectories: true)
            chmod(data + "/closed", 0)
            try await provider.remove(id, keepingData: false)
            #expect(directory.exists("precious"))
            #expect(!directory.exists("sandboxes/sessions/\(id)"))
        }
    }

    @Test
    func `a deep root still has short sockets`() async throws {
        try await TemporaryDirectory.with { directory in
            var configuration = LocalSandboxProvider.Configuration(
                root: directory.file(String(repeating: "deep/", count: 20) + "sandboxes"),
                agentBinary: "/usr/bin/true",
                home: directory.path,
                searchPath: ""
            )
            configuration.command = ["/bin/sh", "-c", ProviderKind.service]
            let provider = LocalSandboxProvider(configuration)
            try await provider.create(try ProviderKind.isolated.specification("deep", directory))
            try await provider.start("deep")
            let path = try #require(try await provider.endpoint(of: "deep").path)
            #expect(path.hasPrefix("/tmp/discobot-"))
            #expect(path.utf8.count < 108)
            try await provider.remove("deep", keepingData: false)
            // Empty now.
            #expect(rmdir(URL(filePath: path).deletingLastPathComponent().path) == 0)
        }
    }
}
