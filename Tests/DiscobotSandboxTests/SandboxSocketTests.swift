// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotSandbox

/// What programs of a sandbox may do to the socket of its runtime.
@Suite(.timeLimit(.minutes(10)))
struct SandboxSocketTests {
    private func with(_ body: (SandboxSocket, TemporaryDirectory) async throws -> Void) async throws {
        try await TemporaryDirectory.with { directory in
            try FileManager.default.createDirectory(atPath: directory.file("run"), withIntermediateDirectories: false)
            try await body(SandboxSocket(directory: directory.file("run")), directory)
        }
    }

    private func makeSocket(_ path: String) async throws {
        try await Shell.run(
            #"python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$0""#,
            path
        )
    }

    private func inode(_ path: String) -> UInt64? {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK ? UInt64(status.st_ino) : nil
    }

    @Test func `a socket is taken, and nothing can be made any more where it was`() async throws {
        try await with { socket, directory in
            try await socket.take()
            #expect(try directory.contents() == ["run"])
            for _ in 1...2 {
                try await makeSocket(socket.made)
                let made = inode(socket.made)
                // As a sandbox has it.
                let inside = open(socket.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                defer { close(inside) }
                try await socket.take()
                #expect(made != nil && inode(socket.path) == made)
                #expect(openat(inside, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0o600) == -1)
                #expect(mkdirat(inside, "directory", 0o700) == -1)
                #expect(symlinkat("/", inside, "agent.sock") == -1)
                #expect(linkat(AT_FDCWD, socket.path, inside, "agent.sock", 0) == -1)
                #expect(try directory.contents() == ["run", "run.sock"])
                #expect(try directory.contents("run") == [])
                try await socket.take()
                #expect(inode(socket.path) == made)
            }
            try await socket.remove()
            #expect(try directory.contents() == [])
        }
    }

    @Test func `many who take a socket at once all find it`() async throws {
        try await with { socket, directory in
            try await makeSocket(socket.made)
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<50 {
                    group.addTask {
                        try await socket.take()
                        return inode(socket.path) != nil
                    }
                }
                for try await isFound in group { #expect(isFound) }
            }
            #expect(try directory.contents() == ["run", "run.sock"])
        }
    }

    @Test(arguments: ["ln -s ../other.sock", "ln -s nowhere", "mkdir", "touch", "mkfifo"])
    func `what is no socket is refused, and never followed`(command: String) async throws {
        try await with { socket, directory in
            try await makeSocket(directory.file("other.sock"))
            try await Shell.run(#"\#(command) "$0""#, socket.made)
            let error = await #expect(throws: SandboxError.self) { try await socket.take() }
            #expect(error?.message == "the sandbox has replaced its socket")
            #expect(!PrivateFile.exists(socket.path))
            try await socket.remove()
            try FileManager.default.createDirectory(atPath: socket.directory, withIntermediateDirectories: false)
            try await makeSocket(socket.made)
            try await socket.take()
            #expect(inode(socket.path) != nil)
        }
    }

    @Test func `what the sandbox has put beside its socket goes`() async throws {
        try await with { socket, directory in
            try await Shell.run(#"cd "$0" && mkdir -p a/b && touch a/b/c file && chmod 0 a/b a"#, socket.directory)
            try await makeSocket(socket.made)
            try await socket.take()
            #expect(inode(socket.path) != nil)
            #expect(try directory.contents() == ["run", "run.sock"])
            #expect(try directory.contents("run") == [])
        }
    }

    @Test func `a socket that a server had in its hands when it died is not lost`() async throws {
        try await with { socket, directory in
            try await makeSocket(directory.file("run.held"))
            try directory.write("", to: "run/file")
            try await socket.take()
            #expect(inode(socket.path) != nil)
            #expect(try directory.contents() == ["run", "run.sock"])
            #expect(try directory.contents("run") == [])
        }
    }

    @Test(arguments: [ProviderKind.isolated, .docker])
    func `a sandbox leads the server to no other socket`(kind: ProviderKind) async throws {
        try await TemporaryDirectory.with { directory in
            let script = "ln -s /run/other.sock /run/discobot/agent.sock; exec sleep 1000"
            let provider = try await kind.make(directory, script: script)
            let id = ID<Session>.random()
            try await provider.create(try kind.specification(id, directory))
            try await provider.start(id)
            let endpoint = try await provider.endpoint(of: id)
            let agent = AgentClient(endpoint: endpoint, secret: .random())
            let connections = AgentConnections.to(endpoint)
            var message: String?
            while message != "the sandbox has replaced its socket" {
                let error = await #expect(throws: AgentError.self) { _ = try await agent.health() }
                message = error?.message
            }
            try await provider.remove(id, keepingData: false)
            try await provider.removeCache(of: "local")
            #expect(try directory.contents("sandboxes/run") == [])
            // Its connections end with it, and what is remembered for them.
            guard case .sandboxSocket(let socket) = endpoint else { return }
            #expect(AgentConnections.to(endpoint).usual !== connections.usual)
            await AgentConnections.end(socket)
        }
    }
}

extension AgentEndpoint {
    /// Of its socket; nil for a port.
    var path: String? {
        switch self {
        case .unixSocket(let path): path
        case .sandboxSocket(let socket): socket.path
        case .tcp: nil
        }
    }
}
