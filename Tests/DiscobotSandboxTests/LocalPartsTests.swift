// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotSandbox

/// What local sandboxes are made of, as values.
@Suite(.timeLimit(.minutes(10)))
struct LocalPartsTests {
    @Test
    func `a number that is cut in two is no process`() {
        #expect(ControlGroups.processes("12\n345\n6") == [12, 345])
        #expect(ControlGroups.processes("6").isEmpty)
    }

    private static let ends: [(note: String?, end: String?)] = [
        ("0", "ended by itself"), ("137", "was killed"), ("143", "told to end"), (nil, "without a trace"), ("1", nil),
        ("137 oom", nil),
    ]

    @Test(arguments: ends)
    func `how a sandbox has ended is said unless it was asked to`(note: String?, end: String?) async throws {
        try await TemporaryDirectory.with { directory in
            let record = LocalSandboxRecord(
                specification: try ProviderKind.plain.specification("s", directory),
                createdAt: .now,
                startedAt: .now
            )
            let noted = note.flatMap { LocalSandboxEnd($0, at: .now) }
            let told = record.sandbox(isRunning: false, end: noted, wasAsked: false) { "" }
            #expect(end.map { told.end?.contains($0) == true } ?? (told.end == nil), "\(told.end ?? "")")
            #expect(told.status == (end == nil ? .failed : .stopped))
            #expect(record.sandbox(isRunning: false, end: noted, wasAsked: true) { "" }.end == nil)
        }
    }

    @Test
    func `libraries are shown one by one`() {
        let output = "\tlibA.so => /home/me/lib/libA.so (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n"
        #expect(RuntimeLibraries.files(ldd: output) == ["/home/me/lib/libA.so"])
    }

    @Test
    func `networks beside this machine are closed, the sandbox's own is not`() {
        let closed = HostAddresses.closed([
            (0xC0A8_0105, 0xFFFF_FF00), (0x0A00_020F, 0xFFFF_FF00), (0x0A80_0001, 0),
        ]).map(\.description)
        #expect(Set(["192.168.1.5/32", "192.168.1.0/24", "10.0.2.15/32", "10.128.0.1/32"]).isSubset(of: closed))
        #expect(!closed.contains("10.0.2.0/24") && !closed.contains("0.0.0.0/0"))
    }

    @Test
    func `keys beside programs are not shown`() async throws {
        try await TemporaryDirectory.with { home in
            try await Shell.run(
                """
                cd "$0"; mkdir -p .local/bin .local/share/uv/tools/aider/bin .local/share/uv/credentials npm/bin \\
                    npm/lib/node_modules/gemini npm/etc data/bin
                for file in .local/share/uv/tools/aider/bin/aider npm/lib/node_modules/gemini/gemini data/bin/goose; do
                    echo >$file; chmod +x $file
                done
                ln -s "$0/.local/share/uv/tools/aider/bin/aider" .local/bin/aider
                ln -s ../lib/node_modules/gemini/gemini npm/bin/gemini
                """,
                home.path
            )
            let programs = UserPrograms(
                home: home.path,
                searchPath: "\(home.file("npm/bin")):\(home.file("data/bin"))",
                extra: [],
                hidden: [home.file("data")]
            )
            #expect(
                programs.directories == [
                    home.file(".local/bin"), home.file(".local/share/uv/tools/aider"), home.file("npm/bin"),
                    home.file("npm/lib/node_modules"),
                ]
            )
        }
    }

    @Test
    func `shims are shown with what they lead to, or not at all`() async throws {
        try await TemporaryDirectory.with { home in
            try await Shell.run(
                """
                cd "$0"; mkdir -p other/pyenv/shims other/pyenv/versions me/shims me/bin
                for file in other/pyenv/shims/python3 me/shims/node me/bin/node; do
                    echo '#!/bin/sh' >$file; chmod +x $file
                done
                """,
                home.path
            )
            let path = [home.file("other/pyenv/shims"), home.file("me/shims"), home.file("me/bin")]
            let programs = UserPrograms(home: home.file("me"), searchPath: path.joined(separator: ":"), extra: [])
            #expect(programs.directories == [home.file("me/bin"), home.file("other/pyenv")])
            #expect(programs.searchPath.prefix(2) == [home.file("other/pyenv/shims"), home.file("me/bin")])
        }
    }

    @Test
    func `closed directories are removed however deep they are`() async throws {
        try await TemporaryDirectory.with { directory in
            let deep = (1...200).map { _ in "d" }.joined(separator: "/")
            try await Shell.run("mkdir -p \"$0/top/$1/closed\"; chmod 0 \"$0/top/$1/closed\"", directory.path, deep)
            let top = directory.file("top")
            #expect(ClosedDirectories.open(in: top))
            try await PrivateFile.removeTree(top)
            #expect(!directory.exists("top"))
        }
    }
}
