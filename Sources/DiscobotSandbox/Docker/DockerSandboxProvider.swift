// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import Glibc
import NIOCore
import NIOHTTP1

/// Sandboxes as containers of a Docker Engine on this machine.
package struct DockerSandboxProvider: SandboxProvider {
    package let name = "docker"
    private let socketPath: String

    /// - Parameter host: as in DOCKER_HOST; empty for the usual socket.
    package init(host: String) {
        socketPath = host.isEmpty ? "/var/run/docker.sock" : String(host.trimmingPrefix("unix://"))
    }

    package func state() async -> ProviderState {
        let problem = ProviderState.unavailable(
            reason: "no Docker Engine answers at \(socketPath)",
            remedy: "Start one (Debian: apt-get install docker.io) or name its socket in DOCKER_HOST."
        )
        // Connecting to what is not there would be tried again and again until the time is up.
        guard access(socketPath, R_OK | W_OK) == 0 else { return problem }
        let path = socketPath.replacing("/", with: "%2F")
        var request = HTTPClientRequest(url: "http+unix://\(path)/_ping")
        // A socket's path is no valid Host header, and the engine insists on one.
        request.headers.replaceOrAdd(name: "Host", value: "docker")
        guard
            let response = try? await HTTPClient.shared.execute(request, timeout: .seconds(3)),
            response.status == .ok
        else { return problem }
        return .unavailable(
            reason: "a Docker Engine answers, but this version cannot run sandboxes with it",
            remedy: "Use the provider local."
        )
    }
}
