// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
package import DiscobotTunnel
import FoundationEssentials
package import NIOCore
import NIOHTTP1
import NIOSSL

extension AgentClient {
    /// A connection to a service's port, through TLS where the service speaks it; starts one that nobody has stopped.
    ///
    /// Throws `AgentError`, and `ServiceRefusal` when the agent says that there is no way to the service.
    ///
    /// - Parameter wait: how long the agent waits for a service that is starting.
    package func tunnel(toService id: String, wait: Duration, on eventLoop: any EventLoop) async throws -> TunnelOwner {
        let milliseconds = wait.components.seconds * 1000 + wait.components.attoseconds / 1_000_000_000_000_000
        let head = HTTPRequestHead(
            version: .http1_1,
            method: .GET,
            uri: "/services/\(id.percentEncoded)/tunnel?wait=\(milliseconds)",
            headers: [
                "Host": "agent", "Authorization": "Bearer \(secret.value)", "Connection": "Upgrade",
                "Upgrade": ServiceTunnel.name,
            ]
        )
        let answer: UpgradeClient.Answer
        try await takeSocket()
        do {
            answer = try await UpgradeClient.connect(
                to: endpoint.address,
                head,
                on: eventLoop,
                timeout: TimeAmount(wait) + .seconds(30)
            )
        } catch let error as CancellationError {
            throw error
        } catch {
            throw AgentError(.unreachable, "the sandbox's agent does not answer", cause: error)
        }
        switch answer {
        case .switched(let head, let tunnel):
            let owner = TunnelOwner(tunnel)
            if head.headers.first(name: ServiceTunnel.schemeHeader) == "https" { try await Self.secure(tunnel) }
            return owner
        case .refused(let head, let body): throw Self.refusal(head, body)
        }
    }

    /// Certificates of development servers are their own, and the way to them is within the sandbox.
    private static func secure(_ tunnel: ByteTunnel) async throws {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        configuration.applicationProtocols = ["http/1.1"]
        let context = try NIOSSLContext(configuration: configuration)
        try await tunnel.insert { try NIOSSLClientHandler(context: context, serverHostname: "localhost") }
    }

    private static func refusal(_ head: HTTPResponseHead, _ body: ByteBuffer) -> any Error {
        let failure = try? JSONDecoder().decode(ServiceFailure.self, from: Data(body.readableBytesView))
        guard let failure else {
            return AgentError(
                .refused(status: Int(head.status.code)),
                "the sandbox's agent answered with status \(head.status.code)"
            )
        }
        return ServiceRefusal(status: Int(head.status.code), failure: failure)
    }
}

/// Why there is no way to a service.
package struct ServiceRefusal: Error, Sendable {
    package let status: Int
    package let failure: ServiceFailure
}
