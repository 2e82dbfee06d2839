// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotTunnel
import NIOCore

/// Carries messages between somebody and a terminal as they are.
///
/// Two WebSockets rather than one tunnel, so that the server can say that it stops, holds the one side to the protocol,
/// and bounds what is on its way to the other.
enum TerminalRelay {
    /// Returns whether the shell has ended.
    static func run(_ viewer: WebSocket, over tunnel: ByteTunnel) async throws -> Bool {
        try await WebSocket.run(over: tunnel, as: .client) { agent in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while let message = try await viewer.receive() {
                        // The other direction tells why nothing is taken any more.
                        guard (try? await agent.send(message)) != nil else { break }
                    }
                    agent.close(WebSocketClose(WebSocketClose.normal))
                }
                while let message = try await agent.receive(), message.kind == .text {
                    guard (try? await viewer.send(message)) != nil else { break }
                }
                let code = agent.peerClose?.code ?? 0
                let hasExited = (0...255).contains(code - TerminalEnd.shellExited)
                viewer.close(close(agent.peerClose, hasExited: hasExited))
                agent.close(WebSocketClose(WebSocketClose.normal))
                try await group.waitForAll()
                return hasExited
            }
        }
    }

    private static func close(_ close: WebSocketClose?, hasExited: Bool) -> WebSocketClose {
        switch close?.code {
        case _ where hasExited: WebSocketClose(WebSocketClose.normal, TerminalEnd.reason)
        case WebSocketClose.unsupportedData, WebSocketClose.policyViolation, WebSocketClose.tooLarge:
            close ?? WebSocketClose(nil)
        case WebSocketClose.goingAway: WebSocketClose(WebSocketClose.goingAway, "the sandbox has stopped")
        default: WebSocketClose(WebSocketClose.internalError, "the connection to the sandbox is lost")
        }
    }
}
