// SPDX-License-Identifier: Apache-2.0

import Foundation

/// An engine that is as far away as one in a virtual machine: it sees this machine's files, but sockets that containers
/// make stay there, and only published ports lead to them.
package struct FarEngine: Sendable {
    package let engine: DockerEngine
    /// Of which containers get a copy: what they make in it is theirs alone.
    package let directory: String
    private let relay: SpawnedProcess

    /// Starts one, and ends it after `body`.
    package static func with(_ body: (FarEngine) async throws -> Void) async throws {
        // The engine publishes nothing but these.
        let ports = try ServerProcess.freePort() / 8 * 8
        let engine = try await DockerEngine.start(
            prepare: #"""
                mkdir "$directory/shared" "$directory/upper" "$directory/work"
                mount -t overlay overlay "$directory/shared" \
                    -o "lowerdir=$directory/shared,upperdir=$directory/upper,workdir=$directory/work"
                echo "\#(ports) \#(ports + 7)" >/proc/sys/net/ipv4/ip_local_port_range
                """#
        )
        defer { engine.end() }
        guard let directory = engine.directory else { throw Shell.Failed(description: "that engine is not far") }
        let relay = try SpawnedProcess(
            ["/usr/bin/python3", "-c", script, try await engine.networkNamespace(), String(ports)],
            environment: [:],
            log: "\(directory)/relay.log"
        )
        defer { relay.kill() }
        try await body(FarEngine(engine: engine, directory: "\(directory)/shared", relay: relay))
    }

    /// Hands on to the engine's network what comes to those ports here, as Docker Desktop does.
    private static let script = #"""
        import ctypes, os, socket, sys, threading
        first = int(sys.argv[2])
        listeners = [socket.create_server(("127.0.0.1", port)) for port in range(first, first + 8)]
        # From here on new sockets are the engine's; those that listen stay this machine's.
        if ctypes.CDLL(None).setns(os.open(sys.argv[1], os.O_RDONLY), 0x40000000): sys.exit("setns")
        def pump(source, target):
            try:
                while data := source.recv(65536): target.sendall(data)
            except OSError: pass
            for end in (source, target):
                try: end.shutdown(socket.SHUT_RDWR)
                except OSError: pass
        def serve(listener):
            port = listener.getsockname()[1]
            while True:
                near, _ = listener.accept()
                try: far = socket.create_connection(("127.0.0.1", port))
                except OSError: near.close(); continue
                for pair in ((near, far), (far, near)): threading.Thread(target=pump, args=pair, daemon=True).start()
        threads = [threading.Thread(target=serve, args=(listener,)) for listener in listeners]
        for thread in threads: thread.start()
        """#
}
