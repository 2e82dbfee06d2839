// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Testing

/// A process of this machine.
struct SeenProcess: CustomStringConvertible {
    let identifier: Int32
    let arguments: String
    private let environment: String

    var description: String { "\(identifier) \(arguments)" }

    static var all: [SeenProcess] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.filter { $0 != getpid() }.map { identifier in
            SeenProcess(
                identifier: identifier,
                arguments: read(identifier, "cmdline"),
                environment: "\0" + read(identifier, "environ")
            )
        }
    }

    private static func read(_ identifier: Int32, _ file: String) -> String {
        String(decoding: FileManager.default.contents(atPath: "/proc/\(identifier)/\(file)") ?? Data(), as: UTF8.self)
    }

    func mentions(_ text: String) -> Bool { arguments.contains(text) || environment.contains(text) }

    func isOf(session: String) -> Bool { environment.contains("\0SESSION_ID=\(session)\0") }

    var name: String {
        Self.read(identifier, "comm").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    func kill() { Glibc.kill(identifier, SIGKILL) }
}

/// What a session runs, to be killed.
struct SessionProcesses {
    let fixture: ChatFixture
    let session: String

    private func find(_ isWanted: (SeenProcess) -> Bool) throws -> SeenProcess {
        guard let found = SeenProcess.all.first(where: isWanted) else { throw NotRunning() }
        return found
    }

    struct NotRunning: Error {}

    var runtime: SeenProcess {
        get throws { try find { $0.isOf(session: session) && $0.name == "discobot-agent" } }
    }

    /// The shell that runs the user's script.
    var script: SeenProcess {
        get throws { try find { $0.isOf(session: session) && $0.arguments.hasSuffix("/script\0") } }
    }

    var launcher: SeenProcess {
        get throws {
            let identifier = try launcherIdentifier
            return try find { $0.identifier == identifier }
        }
    }

    /// Every process that runs bubblewrap for the session.
    var bubblewraps: [SeenProcess] {
        get throws {
            let launcher = try launcherIdentifier
            return SeenProcess.all.filter { process in
                process.name == "bwrap" && getpgid(process.identifier) == launcher
            }
        }
    }

    var launcherIdentifier: Int32 {
        get throws {
            let path = fixture.directory.file("data/sandboxes/sessions/\(session)/pid")
            let text = try String(contentsOfFile: path, encoding: .utf8)
            return try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        }
    }
}

extension ChatFixture {
    func processes(of session: String) -> SessionProcesses { SessionProcesses(fixture: self, session: session) }

    /// Checks that no process, file, control group, container or volume of a sandbox is left.
    func expectNothingLeft() async throws {
        let deadline = ContinuousClock.now + .seconds(240)
        // What was killed goes without a word.
        while ContinuousClock.now < deadline, !leftProcesses.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
        #expect(leftProcesses.map(\.description) == [])
        for name in ["sessions", "run", "trash"] {
            let path = "\(sandboxes)/\(name)"
            if directory.exists(path) { #expect(try directory.contents(path) == [], "left in \(name)") }
        }
        #expect(try await controlGroups == "")
        let keepRefs = try await Shell.run(#"git -C "$0" for-each-ref refs/discobot"#, repository)
        #expect(keepRefs == "")
        guard let engine else { return }
        #expect(try await engine.docker("ps", "-aq", "--filter", "name=\(mark)") == "")
        #expect(try await engine.docker("volume", "ls", "-q", "--filter", "name=\(mark)") == "")
    }

    func makeAndRemoveSession() async throws {
        let session = newSession()
        #expect(try await talk("echo usable", in: session).text == "usable\n")
        try await client.removeSession(session)
    }

    /// The files of the server's sandboxes, and what its engine has.
    func belongings() async throws -> Set<String> {
        let path = directory.file(sandboxes)
        let files = FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []
        guard let engine else { return Set(files) }
        let server = try String(contentsOfFile: path + "/server", encoding: .utf8)
        let label = "label=discobot.server=" + server.trimmingCharacters(in: .whitespacesAndNewlines)
        let found =
            try await engine.docker("ps", "-aq", "--filter", label)
            + engine.docker("volume", "ls", "-q", "--filter", label)
            + engine.docker("network", "ls", "-q", "--filter", label)
        return Set(files + found.split(separator: "\n").map { String($0) })
    }

    func serverDescriptors() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(server.identifier)/fd").count
    }

    private var leftProcesses: [SeenProcess] {
        SeenProcess.all.filter { $0.mentions(directory.path) || $0.mentions(mark) }
    }

    private var controlGroups: String {
        get async throws {
            try await Shell.run(
                #"""
                digest=$(printf %s "$0" | sha256sum | cut -c 1-8)
                find /sys/fs/cgroup -type d -name "discobot-$digest-*" 2>/dev/null || true
                """#,
                directory.file("data/sandboxes")
            )
        }
    }
}
