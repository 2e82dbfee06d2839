// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Testing

/// The built executable, as it is typed.
@Suite(.timeLimit(.minutes(10)))
struct CommandLineTests {
    private func run(
        _ arguments: String...,
        environment: [String: String] = [:],
        prepare: (TemporaryDirectory) throws -> Void = { _ in }
    ) async throws -> (status: Int32, output: String) {
        try await TemporaryDirectory.with { directory in
            try prepare(directory)
            let resolved = environment.mapValues { $0.replacing("@", with: directory.path) }
            return try await ServerProcess.run(arguments, environment: resolved, in: directory)
        }
    }

    @Test
    func `tells how it is used and which version it is`() async throws {
        let help = try await run("--help")
        #expect(help.status == 0)
        #expect(help.output.contains("doctor"))
        let version = try await run("--version")
        #expect(version.status == 0)
        #expect(version.output.contains(/^\d+\.\d+\.\d+\n$/))
    }

    @Test
    func `an unknown argument is refused`() async throws {
        let result = try await run("--frobnicate")
        #expect(result.status != 0)
        #expect(result.output.contains("--frobnicate"))
    }

    @Test
    func `doctor names each thing and what to do`() async throws {
        let result = try await run("doctor", environment: ["PORT": "0"])
        #expect(result.status == 0)
        for subject in ["git", "SQLite", "bubblewrap", "Docker", "port", "database", "workspaces"] {
            #expect(result.output.contains(subject))
        }
        #expect(result.output.contains("warning  Docker (provider docker): no Docker Engine answers"))
    }

    @Test
    func `doctor fails when the server could not run`() async throws {
        let result = try await run("doctor", environment: ["PATH": "/nowhere"])
        #expect(result.status == 1)
        #expect(result.output.contains("error    git: git was not found: install git"))
    }

    @Test(arguments: [("PORT", "many"), ("DATABASE_DSN", "mongodb://x"), ("CORS_ORIGINS", "localhost")])
    func `a wrong setting ends the start with one line that names it`(name: String, value: String) async throws {
        let result = try await run(environment: [name: value])
        #expect(result.status == 1)
        #expect(result.output.hasPrefix("error: \(name)"))
        #expect(result.output.split(separator: "\n").count == 1)
    }

    @Test
    func `an address that is not this machine's ends the start with the setting's name`() async throws {
        for host in ["nonsense.invalid", "192.0.2.1"] {
            let result = try await run(environment: ["HOST": host])
            #expect(result.status == 1)
            #expect(result.output.contains("error: HOST: the server cannot listen on \(host)"))
            let doctor = try await run("doctor", environment: ["HOST": host])
            #expect(doctor.output.contains("error    port 0 on \(host)"))
        }
    }

    @Test
    func `doctor warns who listens for others`() async throws {
        let result = try await run("doctor", environment: ["HOST": "0.0.0.0"])
        #expect(result.output.contains("warning  HOST: there is no authentication"))
    }

    @Test
    func `keeps its data in the home directory of the environment`() async throws {
        let result = try await run("doctor", environment: ["DATABASE_DSN": "", "HOME": "@/home"])
        #expect(result.output.contains("/home/.local/share/discobot"))
    }

    @Test
    func `a database that cannot be made ends the start with what to mend`() async throws {
        let result = try await run(environment: ["DATABASE_DSN": "@/file/x.db"]) {
            try $0.write("in the way", to: "file")
        }
        #expect(result.status == 1)
        #expect(result.output.contains("DATABASE_DSN"))
        #expect(result.output.contains("cannot be created"))
    }

    @Test
    func `a file that is no database ends the start and stays as it is`() async throws {
        let result = try await run(environment: ["DATABASE_DSN": "@/notes.db"]) {
            try $0.write(String(repeating: "no database ", count: 1000), to: "notes.db")
        }
        #expect(result.status == 1)
        #expect(result.output.contains("is not an SQLite database"))
    }
}
