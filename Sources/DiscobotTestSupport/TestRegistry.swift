// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A registry with one image, which is the tests' with a layer of its own. It is in the engine's network at 127.0.0.1,
/// where Docker asks for no certificates.
package struct TestRegistry: Sendable {
    /// As it is named in images.
    package let host: String
    /// Prints `yes` for `PULLED`.
    package var image: String { "\(host)/discobot/test:1" }

    /// Serves during `body`.
    ///
    /// - Parameters:
    ///   - port: 0 for a free one.
    ///   - login: user and password, with a colon between them, of those who may pull; nil for all.
    package static func with(
        _ engine: DockerEngine,
        port: Int = 0,
        login: String? = nil,
        _ body: (TestRegistry) async throws -> Void
    ) async throws {
        try await TemporaryDirectory.with { directory in
            let archive = directory.file("image.tar")
            try await Shell.run(#"docker -H "$0" save "$1" >"$2""#, engine.host, DockerEngine.image, archive)
            let script = URL(filePath: #filePath).deletingLastPathComponent().appending(
                path: "../../scripts/serve-image.py"
            )
            let network =
                engine.directory == nil ? [] : ["/usr/bin/nsenter", "--net=\(try await engine.networkNamespace())"]
            let server = try SpawnedProcess(
                network + ["/usr/bin/python3", script.path, archive, String(port), directory.file("port")]
                    + (login.map { [$0] } ?? []),
                environment: [:],
                log: directory.file("log")
            )
            defer { server.kill() }
            try await server.waitUntilReady { directory.exists("port") }
            let port = try String(contentsOfFile: directory.file("port"), encoding: .utf8)
            try await body(TestRegistry(host: "127.0.0.1:" + port.trimmingCharacters(in: .whitespacesAndNewlines)))
        }
    }

    /// Writes the settings of Docker's own client as `docker login` does.
    package func logIn(_ login: String, in directory: TemporaryDirectory) throws {
        let auth = Data(login.utf8).base64EncodedString()
        try directory.write(#"{"auths":{"\#(host)":{"auth":"\#(auth)"}}}"#, to: "config.json")
    }
}
