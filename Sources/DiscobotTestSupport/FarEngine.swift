// SPDX-License-Identifier: Apache-2.0

import Foundation

/// An engine that is as far away as one in a virtual machine: it sees this machine's files, but sockets that containers
/// make stay there, and only published ports lead to them.
package struct FarEngine: Sendable {
    package let engine: DockerEngine
    /// Of which containers get a copy: what they make in it is theirs alone.
    package let directory: String

    /// Starts one, and ends it after `body`.
    package static func with(_ body: (FarEngine) async throws -> Void) async throws {
        try await TemporaryDirectory.with { files in
            let relay = try SpawnedProcess(
                ["/usr/bin/python3", "-c", script, files.path],
                environment: [:],
                log: files.file("log")
            )
            defer { relay.kill() }
            // It has the ports before the engine hears of them.
            try await relay.waitUntilReady { files.exists("ports") }
            let ports = try String(contentsOfFile: files.file("ports"), encoding: .utf8)
            // The engine publishes nothing but these.
            let engine = try await DockerEngine.start(
                prepare: #"""
                    mkdir "$directory/shared" "$directory/upper" "$directory/work"
                    mount -t overlay overlay "$directory/shared" \
                        -o "lowerdir=$directory/shared,upperdir=$directory/upper,workdir=$directory/work"
                    echo "\#(ports)" >/proc/sys/net/ipv4/ip_local_port_range
                    """#
            )
            defer { engine.end() }
            guard let directory = engine.directory else { throw Shell.Failed(description: "that engine is not far") }
            let network = try await engine.networkNamespace()
            try FileManager.default.createSymbolicLink(atPath: files.file("network"), withDestinationPath: network)
            try await relay.waitUntilReady { files.exists("ready") }
            try await body(FarEngine(engine: engine, directory: "\(directory)/shared"))
        }
    }

    /// Takes eight ports here, and hands on to the engine's network what comes to them, as Docker Desktop does.
    private static let script = #"""
        import ctypes, os, random, socket, sys, threading, time
        os.chdir(sys.argv[1])
        def take():
            while True:
                # Below those that the kernel gives to whoever wants any.
                first, taken = random.randrange(20000, 32000, 8), []
                try:
                    for port in range(first, first + 8): taken.append(socket.create_server(("127.0.0.1", port)))
                    return taken
                except OSError:
                    for listener in taken: listener.close()
        def tell(name, text):
            with open(name + ".new", "w") as file: file.write(text)
            os.rename(name + ".new", name)
        listeners = take()
        ports = [listener.getsockname()[1] for listener in listeners]
        tell("ports", f"{ports[0]} {ports[-1]}")
        while not os.path.lexists("network"): time.sleep(0.02)
        # From here on new sockets are the engine's; those that listen stay this machine's.
        if ctypes.CDLL(None).setns(os.open(os.readlink("network"), os.O_RDONLY), 0x40000000): sys.exit("setns")
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
        tell("ready", "")
        """#
}
