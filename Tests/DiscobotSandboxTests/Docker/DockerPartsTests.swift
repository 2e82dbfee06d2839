// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Foundation
import Logging
import NIOCore
import Testing

@testable import DiscobotSandbox

struct DockerPartsTests {
    @Test func `hosts are read as Docker's own client reads them`() {
        #expect(DockerAddress(host: "") == .unix(path: "/var/run/docker.sock"))
        #expect(DockerAddress(host: "unix:///a/b") == .unix(path: "/a/b"))
        #expect(DockerAddress(host: "/a/b") == .unix(path: "/a/b"))
        let plain = DockerAddress.tcp(host: "h", port: 2375, certificates: nil, isVerified: false)
        #expect(DockerAddress(host: "tcp://h") == plain)
        let encrypted = DockerAddress.tcp(host: "h", port: 99, certificates: "/c", isVerified: true)
        #expect(DockerAddress(host: "tcp://h:99", certificates: "/c", isVerified: true) == encrypted)
        let bracketed = DockerAddress.tcp(host: "[::1]", port: 1, certificates: nil, isVerified: false)
        #expect(DockerAddress(host: "tcp://[::1]:1") == bracketed)
        for host in ["ssh://h", "npipe://x", "tcp://", "tcp://h:x", "tcp://h:70000", "h", "unix:/x"] {
            #expect(DockerAddress(host: host) == nil, "\(host)")
        }
    }

    @Test func `names of images fall into registry, repository and tag`() throws {
        let cases: [(String, String, String)] = [
            ("debian", "docker.io", "debian:latest"), ("debian:12", "docker.io", "debian:12"),
            ("me/app", "docker.io", "me/app:latest"), ("localhost/app:1", "localhost", "localhost/app:1"),
            ("r.test:5000/a/b", "r.test:5000", "r.test:5000/a/b:latest"),
            ("r.test/a@sha256:00ff", "r.test", "r.test/a@sha256:00ff"),
        ]
        for (text, registry, description) in cases {
            let image = try #require(ImageReference(text))
            #expect(image.registry == registry)
            #expect(image.description == description)
        }
        #expect(try #require(ImageReference("discobot-local/sandbox")).isLocal)
        for text in ["", "a b", "/a", "a?b", "a/../b", "-a", "a:", "@sha256:1", "a//b"] {
            #expect(ImageReference(text) == nil, "\(text)")
        }
    }

    @Test func `versions are compared by number`() {
        #expect(DockerVersion("1.9").map { $0 < DockerVersion(1, 41) } == true)
        for text in ["", "1", "1.x", "1.2.3", "-1.2"] { #expect(DockerVersion(text) == nil) }
    }

    @Test func `credentials are taken from the settings of Docker's own client`() async throws {
        let auth = Data("user:pass:word".utf8).base64EncodedString()
        let json = """
            {"auths":{"r.test":{"auth":"\(auth)"},"https://index.docker.io/v1/":{"identitytoken":"token"},"x":{}}}
            """
        let settings = try #require(DockerSettings(json: json))
        let logger = Logger(label: "test")
        let found = try #require(try await settings.credentials(for: "r.test", logger: logger))
        #expect(found.user == "user")
        #expect(found.password == "pass:word")
        #expect(try await settings.credentials(for: "docker.io", logger: logger)?.identityToken == "token")
        #expect(try await settings.credentials(for: "other.test", logger: logger) == nil)
        #expect(try await settings.credentials(for: "x", logger: logger) == nil)
        #expect(DockerSettings(json: "nonsense") == nil)
        let header = found.header.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
        let decoded = String(decoding: try #require(Data(base64Encoded: header)), as: UTF8.self)
        #expect(decoded.contains(#""username":"user""#))
    }

    /// Programs that keep credentials: one that has some, and tells which variables it has got, one without, one that fails.
    private static let helpers = [
        "good": #"""
        read -r server
        names=$(env | cut -d= -f1 | tr '\n' ',')
        echo "{\"ServerURL\":\"$server\",\"Username\":\"$server\",\"Secret\":\"$names\"}"
        """#,
        "empty": "echo credentials not found in native keychain; exit 1", "bad": "echo precious; exit 2",
    ]

    @Test func `programs that keep credentials get what they need, and one that fails is said`() async throws {
        try await TemporaryDirectory.with { (directory) async throws in
            for (name, script) in Self.helpers {
                try directory.write("#!/bin/sh\n\(script)\n", to: "docker-credential-\(name)")
                chmod(directory.file("docker-credential-\(name)"), 0o755)
            }
            let recorder = LogRecorder()
            let logger = Logger(label: "test", factory: { _ in recorder })
            func credentials(_ json: String, _ registry: String) async throws -> RegistryCredentials? {
                let path = directory.path + ":" + LocalCommand.path
                return try await DockerSettings(json: json)?.credentials(for: registry, in: path, logger: logger)
            }
            let json = #"{"credsStore":"empty","credHelpers":{"r.test":"good","bad.test":"bad","gone.test":"gone"}}"#
            let found = try #require(try await credentials(json, "r.test"))
            #expect(found.user == "r.test")
            let names = Set(found.password.split(separator: ",").map { String($0) })
            let allowed: Set = [
                "PATH", "LC_ALL", "HOME", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "GNUPGHOME", "DISPLAY",
                "WAYLAND_DISPLAY", "PASSWORD_STORE_DIR",
            ]
            // The last ones are the shell's own.
            #expect(names.subtracting(allowed).isSubset(of: ["PWD", "OLDPWD", "SHLVL", "_"]), "\(names)")
            #expect(names.contains("HOME") == (ProcessInfo.processInfo.environment["HOME"] != nil))
            #expect(try await credentials(json, "other.test") == nil)
            #expect(recorder.texts.isEmpty)
            for name in ["bad", "gone"] { #expect(try await credentials(json, "\(name).test") == nil) }
            let lines = recorder.texts
            #expect(lines.contains { $0.contains("docker-credential-bad") })
            #expect(lines.contains { $0.contains("docker-credential-gone") })
            #expect(!lines.contains { $0.contains("precious") })
        }
    }

    @Test func `what a sandbox cannot read of a workspace is named, with a command that may be copied`() async throws {
        try await TemporaryDirectory.with { (directory) async throws in
            let path = directory.file("it's here")
            let user = DockerUser(uid: 4242, gid: 4242)
            func reason() -> String? {
                do { try WorkspaceAccess.check(path, for: user) } catch { return (error as? SandboxError)?.message }
                return nil
            }
            #expect(reason()?.hasSuffix("is not there") == true)
            let directories = ["", "/.git", "/.git/objects", "/.git/objects/ab"]
            for name in directories {
                try FileManager.default.createDirectory(atPath: path + name, withIntermediateDirectories: false)
                chmod(path + name, 0o755)
            }
            for name in ["HEAD", "packed-refs"] { try directory.write("x", to: "it's here/.git/\(name)") }
            for name in ["HEAD", "packed-refs", "objects/ab"] { chmod("\(path)/.git/\(name)", 0o755) }
            #expect(reason() == nil)
            for name in ["HEAD", "packed-refs", "objects/ab"] {
                chmod("\(path)/.git/\(name)", 0o700)
                #expect(reason()?.contains("cannot read \(path)/.git/\(name)") == true)
                #expect(reason()?.hasSuffix(#"chmod -R o+rX '\#(directory.path)/it'\''s here'"#) == true)
                chmod("\(path)/.git/\(name)", 0o755)
            }
        }
    }

    @Test(arguments: [
        (
            "{}", "could not find an available, non-overlapping IPv4 address pool among the defaults",
            "default-address-pools"
        ),
        ("{}", "all predefined address pools have been fully subnetted", "default-address-pools"),
        (#"{"BuildahVersion":"1"}"#, "could not find free subnet from subnet pools", "default_subnet_pools"),
    ])
    func `an engine without addresses for one more network is told what helps`(
        info: String,
        message: String,
        setting: String
    ) throws {
        let error = DockerError(.refused(status: 500), message)
        #expect(error.isLackOfAddresses)
        let engine = try JSONDecoder().decode(DockerInfo.self, from: Data(info.utf8))
        let told = DockerSandboxProvider.lackOfAddresses(error, engine)
        #expect(told.code == .resourceLimit)
        for part in [message, setting, "docker network prune"] { #expect(told.message.contains(part)) }
        #expect(!DockerError(.refused(status: 500), "no space left on device").isLackOfAddresses)
    }

    @Test func `only what has all labels is what was asked for`() {
        let labels = ["a": "1", "b": "x=y", "c": ""]
        #expect(DockerClient.has(labels, ["a=1", "b=x=y", "c="]))
        #expect(DockerClient.has(labels, []))
        for wanted in [["a=1", "b=x"], ["a=2"], ["d=1"], ["a"]] { #expect(!DockerClient.has(labels, wanted)) }
        #expect(!DockerClient.has(nil, ["a=1"]))
    }

    @Test func `a user is added to an image's users, once`() {
        let line = "agent:x:1000:1000:agent:/h:/bin/sh"
        #expect(DockerAccounts.adding(line, id: 1000, to: "root:x:0:0::/:\n") == "root:x:0:0::/:\n\(line)\n")
        #expect(DockerAccounts.adding(line, id: 1000, to: "a:x:1:1:::") == "a:x:1:1:::\n\(line)\n")
        let node = "node:x:1000:1000::/home/node:/bin/bash\n"
        #expect(DockerAccounts.adding(line, id: 1000, to: node) == node)
    }

    @Test func `a server's id is drawn once, and one that is damaged is said rather than replaced`() async throws {
        try await TemporaryDirectory.with { directory in
            let files = LocalSandboxFiles(root: directory.file("docker"))
            #expect(try DockerServer(root: files.root).knownID(files) == nil)
            let id = try DockerServer(root: files.root).id(files)
            #expect(id.count == 12)
            #expect(try DockerServer(root: files.root).knownID(files) == id)
            for damage in ["", "\(id)0", "0123", "0123456789ax"] {
                try directory.write(damage, to: "docker/server")
                let error = #expect(throws: SandboxError.self) { try DockerServer(root: files.root).id(files) }
                #expect(error?.message.contains("docker/server is damaged") == true)
                #expect(throws: SandboxError.self) { try DockerServer(root: files.root).knownID(files) }
            }
            try directory.write("\(id)\n", to: "docker/server")
            #expect(try DockerServer(root: files.root).id(files) == id)
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root gives sandboxes another user"))
    func `a directory that a server died over before it was given away is given away by the next`() async throws {
        try await TemporaryDirectory.with { directory in
            var configuration = DockerSandboxProvider.Configuration(root: directory.path, agentBinary: "/usr/bin/true")
            configuration.address = nil
            let provider = DockerSandboxProvider(configuration)
            let session = try #require(provider.files.session("s"))
            try FileManager.default.createDirectory(atPath: session.runDirectory, withIntermediateDirectories: true)
            try provider.prepare(session, DockerUsers(DockerUser(uid: 1000, gid: 1000)))
            var status = stat()
            #expect(stat(session.runDirectory, &status) == 0)
            #expect(status.st_uid == 1000)
        }
    }

    @Test func `archives are what tar reads, and the other way round`() async throws {
        func list(_ entries: [DockerTar.Entry], _ directory: TemporaryDirectory) async throws -> [String] {
            let file = directory.file("a.tar")
            try Data(DockerTar.archive(entries).readableBytesView).write(to: URL(filePath: file))
            return try await Shell.run(#"tar --numeric-owner -tvf "$0""#, file).split(separator: "\n").map(String.init)
        }
        try await TemporaryDirectory.with { directory in
            let user = DockerUser(uid: 1000, gid: 65534)
            let lines = try await list(
                [
                    DockerTar.Entry(path: "agent", mode: 0o700, owner: user),
                    DockerTar.Entry(path: "passwd", mode: 0o644, owner: .root, text: "root:x:0:0\n"),
                    DockerTar.Entry(path: "block", mode: 0o644, owner: .root, text: String(repeating: "x", count: 512)),
                    DockerTar.Entry(path: "agent/home", mode: 0o777, owner: .root),
                ],
                directory
            )
            #expect(lines.count == 4)
            #expect(lines.first?.hasPrefix("drwx------ 1000/65534") == true)
            #expect(lines.last?.hasPrefix("drwxrwxrwx 0/0") == true)
            #expect(lines.last?.hasSuffix(" agent/home/") == true)
            #expect(lines[1].hasPrefix("-rw-r--r-- 0/0"))
            let text = try await Shell.run(#"tar -xOf "$0" passwd"#, directory.file("a.tar"))
            #expect(text == "root:x:0:0\n")
            let large = DockerUser(uid: 1_234_567_890, gid: 2_097_152)
            let line = try await list([DockerTar.Entry(path: "agent", mode: 0o700, owner: large)], directory).first
            #expect(line?.hasPrefix("drwx------ 1234567890/2097152") == true)
            try directory.write("root:x:0:0\n", to: "passwd")
            try await Shell.run(#"cd "$0" && tar -cf b.tar passwd"#, directory.path)
            let bytes = try Data(contentsOf: URL(filePath: directory.file("b.tar")))
            #expect(DockerTar.firstFile(ByteBuffer(bytes: bytes)) == "root:x:0:0\n")
        }
    }

    @Test(.timeLimit(.minutes(10)))
    func `another passage than the usual one is tried again later`() async throws {
        try await TemporaryDirectory.with { directory in
            let passages = DockerPassages(path: directory.file("passage"), lifetime: .zero)
            #expect(try await passages.passage(of: "engine", with: "i") { .success(.port) } == .port)
            // Nobody waits for the next attempt.
            var found = try await passages.passage(of: "engine", with: "i") { .success(.socket) }
            #expect(found == .port)
            while found == .port {
                found = try await passages.passage(of: "engine", with: "i") { .success(.socket) }
            }
            #expect(directory.exists("passage"))
            #expect(try await passages.passage(of: "engine", with: "i") { .success(.port) } == .socket)
            let patient = DockerPassages(path: directory.file("other"))
            _ = try await patient.passage(of: "engine", with: "i") { .success(.port) }
            #expect(try await patient.passage(of: "engine", with: "i") { throw CancellationError() } == .port)
        }
    }

    @Test func `a failure to reach sandboxes is remembered for a while, for its image`() async throws {
        try await TemporaryDirectory.with { (directory) async throws in
            let failure = SandboxError(.unavailable, "no way")
            let passages = DockerPassages(path: directory.file("passage"))
            // What says nothing of the engine is not.
            await #expect(throws: CancellationError.self) {
                try await passages.passage(of: "engine", with: "i") { throw CancellationError() }
            }
            for finding in [DockerPassages.Finding.failure(failure), .success(.socket)] {
                await #expect(throws: failure) { try await passages.passage(of: "engine", with: "i") { finding } }
            }
            #expect(try await passages.passage(of: "engine", with: "j") { .success(.port) } == .port)
            let forgetful = DockerPassages(path: directory.file("other"), failureLifetime: .zero)
            await #expect(throws: failure) {
                try await forgetful.passage(of: "engine", with: "i") { .failure(failure) }
            }
            #expect(try await forgetful.passage(of: "engine", with: "i") { .success(.port) } == .port)
        }
    }

    @Test(arguments: [
        (
            #"{"Status":"created","ExitCode":0,"OOMKilled":false,"Error":"","StartedAt":"0001-01-01T00:00:00Z"}"#,
            "created"
        ),
        (#"{"Status":"created","ExitCode":127,"OOMKilled":false,"Error":"no file"}"#, "failed: no file"),
        (#"{"Status":"running","ExitCode":0,"OOMKilled":false,"StartedAt":"2026-01-01T00:00:00.5Z"}"#, "running"),
        (#"{"Status":"paused","ExitCode":0,"OOMKilled":false,"StartedAt":"2026-01-01T00:00:00.5Z"}"#, "stopped"),
        (#"{"Status":"exited","ExitCode":0,"OOMKilled":false,"StartedAt":"2026-01-01T00:00:00.5Z"}"#, "stopped"),
        (#"{"Status":"exited","ExitCode":137,"OOMKilled":false,"StartedAt":"2026-01-01T00:00:00.5Z"}"#, "stopped"),
        (#"{"Status":"exited","ExitCode":143,"OOMKilled":false,"StartedAt":"2026-01-01T00:00:00.5Z"}"#, "stopped"),
        (#"{"Status":"exited","ExitCode":255,"OOMKilled":false,"StartedAt":"2026-01-01T00:00:00.5Z"}"#, "stopped"),
        (
            #"{"Status":"exited","ExitCode":137,"OOMKilled":true,"StartedAt":"2026-01-01T00:00:00.5Z"}"#,
            "failed: ran out of memory"
        ),
        (
            #"{"Status":"exited","ExitCode":1,"OOMKilled":false,"StartedAt":"2026-01-01T00:00:00.5Z"}"#,
            "failed: exited with code 1: why"
        ),
        (
            #"{"Status":"dead","ExitCode":0,"OOMKilled":false,"StartedAt":"2026-01-01T00:00:00.5Z"}"#,
            "failed: the Docker Engine could not remove it"
        ),
    ])
    func `a container's state says what has happened`(state: String, expected: String) throws {
        let json = #"{"Id":"1","Created":"2026-01-01T00:00:00.123456789Z","State":\#(state),"Config":{"Image":"i"}}"#
        let container = try JSONDecoder().decode(DockerContainer.self, from: Data(json.utf8))
        let status = container.status(wasAsked: false)
        let text = status == .failed ? "failed: \(container.failure(log: "why\n"))" : status.rawValue
        #expect(text == expected)
        let sandbox = container.sandbox(of: "s", wasAsked: false, failure: nil)
        #expect(sandbox.createdAt.rfc3339 == "2026-01-01T00:00:00.123Z")
        #expect(container.status(wasAsked: true) != .failed || container.state.status != "exited")
    }

    @Test(arguments: [
        ("exited", 0, "ended by itself"), ("exited", 137, "was killed"), ("exited", 143, "told to end"),
        ("exited", 255, "with the engine"), ("paused", 0, "was paused"), ("running", 0, nil), ("exited", 1, nil),
    ])
    func `how a container has ended is said unless it was asked to`(status: String, code: Int, end: String?) throws {
        let state = #"{"Status":"\#(status)","ExitCode":\#(code),"OOMKilled":false,"StartedAt":"2026-01-01T00:00:00Z"}"#
        let json = #"{"Id":"1","Created":"2026-01-01T00:00:00Z","State":\#(state),"Config":{"Image":"i"}}"#
        let container = try JSONDecoder().decode(DockerContainer.self, from: Data(json.utf8))
        let told = container.sandbox(of: "s", wasAsked: false, failure: nil).end
        #expect(end.map { told?.contains($0) == true } ?? (told == nil), "\(told ?? "")")
        #expect(container.sandbox(of: "s", wasAsked: true, failure: nil).end == nil)
    }
}
