// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import NIOCore
import Synchronization

/// The HTTP clients for one agent.
///
/// A client keeps a record of each address that it has ever connected to, and each sandbox has a socket of its own. So
/// sandboxes with sockets share none, and theirs end with them; ports are used again and again, by one client for all.
struct AgentConnections: Sendable {
    private static let shared = AgentConnections()
    /// By the paths of their sockets.
    private static let all = Mutex<[String: AgentConnections]>([:])

    /// An agent sends something every 15 seconds, so a silent one is dead.
    let usual = makeClient(silence: .seconds(45))
    /// For calls that are answered when long work is done; they have limits of their own.
    let patient = makeClient(silence: .seconds(1_800))

    private init() {}

    /// Those that are there, or new ones.
    static func to(_ endpoint: AgentEndpoint) -> AgentConnections {
        guard case .sandboxSocket(let socket) = endpoint else { return shared }
        return all.withLock { all in
            if let known = all[socket.path] { return known }
            let new = AgentConnections()
            all[socket.path] = new
            return new
        }
    }

    /// Closes what there is; calls that are under way fail.
    static func end(_ socket: SandboxSocket) async {
        guard let ended = all.withLock({ $0.removeValue(forKey: socket.path) }) else { return }
        // Only fails for one that has ended.
        try? await ended.usual.shutdown()
        try? await ended.patient.shutdown()
    }

    static func makeClient(silence: TimeAmount) -> HTTPClient {
        var configuration = HTTPClient.Configuration(timeout: .init(connect: .seconds(5), read: silence))
        // A session's turn, and beside it cancelling, questions and files.
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 16
        // Whoever asks has its own way of trying again.
        configuration.connectionPool.retryConnectionEstablishment = false
        // A sandbox must not lead the server elsewhere.
        configuration.redirectConfiguration = .disallow
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }
}
