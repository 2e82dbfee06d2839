// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
package import DiscobotTunnel
import FoundationEssentials
package import NIOCore
import NIOHTTP1

// Terminals; see `TerminalContract.swift`.
extension AgentClient {
    /// A connection to a user's terminal, which is begun when it does not run; the caller runs it as a WebSocket's client.
    ///
    /// - Parameter root: whether to be the superuser, which the sandbox may refuse.
    package func terminal(
        of user: String,
        size: TerminalSize,
        root: Bool,
        on eventLoop: any EventLoop
    ) async throws -> ByteTunnel {
        let query = "user=\(user.percentEncoded)&rows=\(size.rows)&cols=\(size.cols)&root=\(root)"
        return try await webSocket("/terminal/ws?\(query)", on: eventLoop)
    }

    /// What a user's terminal shows.
    package func terminalState(of user: String) async throws -> TerminalState {
        try await call(.GET, "/terminal?user=\(user.percentEncoded)")
    }

    private func webSocket(_ uri: String, on eventLoop: any EventLoop) async throws -> ByteTunnel {
        let headers: HTTPHeaders = ["Host": "agent", "Authorization": "Bearer \(secret.value)"]
        try await takeSocket()
        do {
            return try await WebSocket.connect(to: endpoint.address, uri: uri, headers: headers, on: eventLoop)
        } catch WebSocket.ConnectError.refused(let head, let body) {
            throw AgentError(status: head.status, body: body)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw AgentError(.unreachable, "the sandbox's agent does not answer", cause: error)
        }
    }
}

extension AgentEndpoint {
    /// Where connections are made to.
    var address: UpgradeClient.Address {
        switch self {
        case .unixSocket(let path): .unixSocket(path: path)
        case .sandboxSocket(let socket): .unixSocket(path: socket.path)
        case .tcp(let host, let port): .tcp(host: host, port: port)
        }
    }
}
