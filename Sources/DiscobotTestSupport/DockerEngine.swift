// SPDX-License-Identifier: Apache-2.0

import CLinux
import Foundation

/// A Docker Engine, or Podman, of the tests' own, with an image that needs no registry.
///
/// It has namespaces, directories and a socket to itself, so it disturbs no other engine, and everything in it ends with
/// the process of the tests. `DISCOBOT_TEST_DOCKER` and `DISCOBOT_TEST_PODMAN` may name one that runs already, as
/// DOCKER_HOST does.
package final class DockerEngine: Sendable {
    package enum Kind: String, Sendable {
        case docker, podman

        /// Runs it; `$directory` is where it has everything.
        fileprivate var command: String {
            switch self {
            case .docker:
                #"""
                exec dockerd --host "unix://$directory/docker.sock" --data-root "$directory/data" \
                    --exec-root "$directory/exec" --pidfile "$directory/pid" --cgroup-parent "/$(basename "$directory")"
                """#
            case .podman:
                #"""
                export CONTAINERS_CONF="$directory/containers.conf" CONTAINERS_STORAGE_CONF="$directory/storage.conf"
                # Where it would leave images that are being loaded when it ends.
                export TMPDIR="$directory"
                printf '[engine]\n%s\n%s\n%s\n[network]\n%s\n' 'runtime="runc"' 'cgroup_manager="cgroupfs"' \
                    'events_logger="file"' 'network_backend="netavark"' >"$CONTAINERS_CONF"
                printf '[storage]\ndriver="overlay"\ngraphroot="%s"\nrunroot="%s"\n' "$directory/data" "$directory/run" \
                    >"$CONTAINERS_STORAGE_CONF"
                exec podman --root "$directory/data" --runroot "$directory/run" --tmpdir "$directory/tmp" \
                    --network-config-dir "$directory/networks" \
                    system service --time=0 "unix://$directory/docker.sock"
                """#
            }
        }

        /// What its arguments have and nobody else's.
        fileprivate var mark: String { self == .docker ? "--pidfile $0/pid" : "--runroot $0/run" }
        fileprivate var packages: String { self == .docker ? "docker.io" : "podman, netavark and catatonit" }
        fileprivate var variable: String { "DISCOBOT_TEST_\(rawValue.uppercased())" }
    }

    package static let image = "discobot-local/test:1"
    /// One of a kind for all tests of a process.
    private static let sharing = Sharing()

    package let kind: Kind
    /// As in DOCKER_HOST.
    package let host: String
    /// Where it has everything; nil for an engine that was there already.
    let directory: String?
    private let supervisor: Int32?

    private actor Sharing {
        private var engines: [Kind: Task<DockerEngine, any Error>] = [:]

        func get(_ kind: Kind) async throws -> DockerEngine {
            if let engine = engines[kind] { return try await engine.value }
            // Shared by all who ask, whoever of them gives up.
            let task = Task {
                if let host = ProcessInfo.processInfo.environment[kind.variable], !host.isEmpty {
                    let engine = DockerEngine(kind, host: host)
                    try await engine.makeImage()
                    return engine
                }
                return try await DockerEngine.start(kind)
            }
            engines[kind] = task
            return try await task.value
        }
    }

    /// Throws when there is none: tests that need one fail then, and are not left out.
    package static func shared(_ kind: Kind = .docker) async throws -> DockerEngine { try await sharing.get(kind) }

    private init(_ kind: Kind, host: String, directory: String? = nil, supervisor: Int32? = nil) {
        self.kind = kind
        self.host = host
        self.directory = directory
        self.supervisor = supervisor
    }

    /// Runs the engine again whenever it ends, so that tests may kill it. It is the first process of its namespace, so
    /// all that it starts dies with it, and its standard input tells it when the tests have gone, however they went.
    ///
    /// Its `/run` is its own as well, as Podman notes there what it has and what runs, for all that have one.
    private static let script = #"""
        directory=$0
        engine=$1
        prepare=$2
        ip link set lo up
        mount -t tmpfs none /run
        eval "$prepare"
        engine() { eval "$engine" >>"$directory/log" 2>&1 </dev/null; }
        while :; do
            containerd="$directory/exec/containerd/containerd.pid"
            # The next engine would take what is left of it for one that is just starting.
            if [ -e "$containerd" ]; then kill -KILL "$(cat "$containerd")" 2>/dev/null; fi
            rm -f "$directory/pid" "$containerd"
            engine &
            echo $! >"$directory/engine"
            wait $!
            while [ -e "$directory/paused" ]; do sleep 0.05; done
        done &
        read -r end
        """#

    /// Starts one that is gone with this process.
    ///
    /// - Parameter prepare: is run by `sh` in its namespaces before it starts; `$directory` is where it has everything.
    package static func start(_ kind: Kind = .docker, prepare: String = "") async throws -> DockerEngine {
        let directory = "/tmp/discobot-docker-" + UUID().uuidString.prefix(8).lowercased()
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        let supervisor = try spawn(directory, kind.command, prepare)
        let host = "unix://\(directory)/docker.sock"
        let engine = DockerEngine(kind, host: host, directory: directory, supervisor: supervisor)
        do {
            try await engine.waitUntilItAnswers()
            try await engine.makeImage()
        } catch {
            engine.end()
            throw error
        }
        return engine
    }

    /// A shell outside of the namespaces waits for the end of the engine and removes what that has left.
    private static func spawn(_ directory: String, _ command: String, _ prepare: String) throws -> Int32 {
        var pipe: [Int32] = [0, 0]
        guard Glibc.pipe(&pipe) == 0 else { throw Shell.Failed(description: "no pipe") }
        _ = fcntl(pipe[1], F_SETFD, FD_CLOEXEC)
        defer { close(pipe[0]) }
        let cleanup = #"""
            unshare --mount --net --pid --fork --kill-child --mount-proc sh -c "$1" "$0" "$2" "$3"
            for try in 1 2 3 4 5; do
                find /sys/fs/cgroup -depth -type d -path "*/$(basename "$0")*" -exec rmdir {} + 2>/dev/null
                rm -rf --one-file-system "$0" && break
                sleep 0.2
            done
            """#
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, pipe[0], 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, "\(directory)/log", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        clinux_close_from(&actions, 3)
        let arguments = ["/usr/bin/setsid", "sh", "-c", cleanup, directory, script, command, prepare]
        var argv = arguments.map { strdup($0) } + [nil]
        defer { for pointer in argv { free(pointer) } }
        var identifier: pid_t = 0
        guard posix_spawn(&identifier, arguments[0], &actions, nil, &argv, environ) == 0 else {
            throw Shell.Failed(description: "the Docker Engine cannot be started")
        }
        // The other end stays open as long as this process lives.
        return pipe[1]
    }

    /// Ends it with all containers.
    package func end() {
        if let supervisor { close(supervisor) }
    }

    /// Ends the engine's process as a crash would; another one starts by itself, once `restart` is called.
    package func kill() async throws {
        guard let directory else { throw Shell.Failed(description: "that engine is not the tests' own") }
        try await Shell.run(
            #"""
            touch "$0/paused"
            for process in $(pgrep -f -- "\#(kind.mark)"); do kill -KILL "$process"; done
            """#,
            directory
        )
    }

    package func restart() async throws {
        guard let directory else { return }
        try FileManager.default.removeItem(atPath: "\(directory)/paused")
        try await waitUntilItAnswers()
    }

    /// Asking is all a client can do.
    private func waitUntilItAnswers() async throws {
        let deadline = ContinuousClock.now + .seconds(240)
        while ContinuousClock.now < deadline {
            if (try? await docker("version")) != nil { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        let log = directory.flatMap { try? String(contentsOfFile: "\($0)/log", encoding: .utf8) } ?? ""
        throw Shell.Failed(
            description: "no engine answers at \(host); tests need \(kind.packages) and root, or \(kind.variable). "
                + "\(log.suffix(2000))"
        )
    }

    private func makeImage() async throws {
        if (try? await docker("image", "inspect", Self.image)) != nil { return }
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(
            path: "../../scripts/make-test-image"
        )
        try await Shell.run(
            #""$0" | docker -H "$1" import --change "ENV IMAGE_VARIABLE=kept" - "$2""#,
            script.path,
            host,
            Self.image
        )
    }

    /// Runs Docker's own client; returns what it prints, throws when it fails.
    @discardableResult
    package func docker(_ arguments: String...) async throws -> String {
        let quoted = arguments.map { "'" + $0.replacingOccurrences(of: "'", with: #"'\''"#) + "'" }
        return try await Shell.run("docker -H \"$0\" \(quoted.joined(separator: " "))", host)
    }

    /// Runs a script of `sh` in the engine's network, where the host is what the engine takes for it.
    @discardableResult
    package func onHost(_ script: String) async throws -> String {
        guard directory != nil else { return try await Shell.run(script) }
        return try await Shell.run(#"nsenter --net="$0" sh -ec "$1""#, try await networkNamespace(), script)
    }

    /// Makes a small file system where the engine sees it; returns its path. It is gone with the engine.
    package func mountMemory(_ name: String, megabytes: Int) async throws -> String {
        guard let directory else { throw Shell.Failed(description: "that engine is not the tests' own") }
        let path = "\(directory)/\(name)"
        let process = try await Shell.run(#"pgrep -o -f -- "\#(kind.mark)""#, directory)
        try await Shell.run(
            #"mkdir "$0" && nsenter --mount="/proc/$2/ns/mnt" mount -t tmpfs -o "size=$1m" tmpfs "$0""#,
            path,
            String(megabytes),
            process.trimmingCharacters(in: .whitespacesAndNewlines)
        )
        return path
    }

    /// As a file that can be entered.
    package func networkNamespace() async throws -> String {
        guard let directory else { return "/proc/self/ns/net" }
        let process = try await Shell.run(#"pgrep -o -f -- "\#(kind.mark)""#, directory)
        return "/proc/\(process.trimmingCharacters(in: .whitespacesAndNewlines))/ns/net"
    }
}
