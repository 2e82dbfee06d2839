// SPDX-License-Identifier: Apache-2.0

/// How the server gets to the runtime in a container.
enum DockerPassage: String, Sendable, CaseIterable {
    /// By a socket in a directory that both see.
    case socket
    /// By a port that the engine publishes on 127.0.0.1, where the container's kernel is another one.
    case port

    /// Where the runtime serves then.
    static let portNumber = 3002
    static var portName: String { "\(portNumber)/tcp" }
}
