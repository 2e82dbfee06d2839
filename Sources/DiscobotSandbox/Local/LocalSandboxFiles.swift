// SPDX-License-Identifier: Apache-2.0

import Crypto
import DiscobotModel
import FoundationEssentials
import Glibc

/// Where the files of the sandboxes are.
struct LocalSandboxFiles: Sendable {
    /// The longest path that a socket's address can hold.
    private static let maximumSocketPath = 107

    let root: String
    private let runRoot: String

    init(root: String) {
        self.root = root
        let beside = root + "/run"
        let longest = beside + "/0123456789abcdef/agent.sock"
        let elsewhere = "/tmp/discobot-\(geteuid())-\(Self.digest(root))"
        runRoot = longest.utf8.count <= Self.maximumSocketPath ? beside : elsewhere
    }

    /// Nil for what cannot be a session's id, and could lead out of the directory.
    func session(_ id: ID<Session>) -> LocalSessionFiles? {
        let isPlain = id.rawValue.utf8.allSatisfy { Self.plain.contains($0) }
        guard isPlain, (1...65).contains(id.rawValue.utf8.count) else { return nil }
        let name = Self.digest(id.rawValue)
        return LocalSessionFiles(
            directory: "\(root)/sessions/\(id)",
            runDirectory: "\(runRoot)/\(name)",
            groupName: "discobot-\(Self.digest(root).prefix(8))-\(name)"
        )
    }

    /// Of no session's.
    var probe: LocalSessionFiles {
        LocalSessionFiles(directory: "\(root)/probe", runDirectory: "\(runRoot)/probe", groupName: "")
    }

    func cache(of project: ID<Project>) -> String {
        let name = project.rawValue.utf8.map { byte in
            Self.plain.contains(byte) ? String(UnicodeScalar(byte)) : "_\(byte)_"
        }
        let escaped = name.joined()
        return "\(root)/caches/" + (escaped.isEmpty || escaped.utf8.count > 200 ? "_\(Self.digest(escaped))" : escaped)
    }

    var etc: String { root + "/etc" }
    /// What is being deleted; moving something here removes it in one step.
    var trash: String { root + "/trash" }

    func sessionIDs() -> [ID<Session>] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root + "/sessions")) ?? []
        return names.sorted().map { ID(rawValue: $0) }
    }

    /// Makes what all sandboxes share. Throws `SandboxError`, also when somebody else has taken the place for sockets.
    func prepare() throws {
        for directory in [root, root + "/sessions", root + "/caches", etc, trash] {
            try PrivateFile.makeDirectory(directory)
        }
        try PrivateFile.makeDirectory(runRoot)
        var status = stat()
        guard lstat(runRoot, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid() else {
            throw SandboxError(.unavailable, "\(runRoot) belongs to somebody else; remove it")
        }
    }

    private static let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-".utf8)

    static func digest(_ text: String) -> String {
        SHA256.hash(data: Data(text.utf8)).prefix(8).map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }
}

/// The files of one session's sandbox.
struct LocalSessionFiles: Sendable {
    let directory: String
    /// Where the runtime makes its socket; the sandbox sees it as `/run/discobot`.
    let runDirectory: String
    let groupName: String

    /// What the sandbox is made of; there is one when this file is.
    var record: String { directory + "/sandbox.json" }
    /// What the agent has: working copy, home and journal.
    var data: String { directory + "/data" }
    /// A pipe that is held as long as the sandbox lives.
    var alive: String { directory + "/alive" }
    var launcher: String { directory + "/launch" }
    /// Bubblewrap's, which tell the runtime salt and hash of its secret.
    var arguments: String { directory + "/arguments" }
    /// The runtime's variables, where it runs without a sandbox.
    var environment: String { directory + "/environment" }
    var log: String { directory + "/log" }
    /// The process id of the launcher, which is also that of its group.
    var pid: String { directory + "/pid" }
    /// What bubblewrap says about the processes it made.
    var info: String { directory + "/info" }
    /// The runtime's exit code.
    var exit: String { directory + "/exit" }
    /// There when it was asked to end.
    var stopping: String { directory + "/stopping" }
    /// A pipe that says when the runtime begins.
    var started: String { directory + "/started" }
    /// Pipes by which launcher and network tell each other how far they are.
    var networkPipes: [String] { [directory + "/made", directory + "/up"] }
    var agentSocket: SandboxSocket { SandboxSocket(directory: runDirectory) }
    var socket: String { agentSocket.made }
}
