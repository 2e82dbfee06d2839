// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI

/// Drives one kind of coding agent.
package protocol AgentDriver: Sendable {
    /// What the agent can be told to use; empty when it has no choice.
    var models: [AgentModel] { get }

    /// Gives the agent the user's message and returns when its turn is over; nothing of the agent runs then.
    ///
    /// Sends the chunks of the answer in their order, but not those that begin and end it: `start`, `finish`, `abort`
    /// and `error` are its caller's, who also closes what is left open. Throws `DriverError`, or `CancellationError`
    /// when the task is cancelled.
    func run(_ turn: DriverTurn, _ output: DriverOutput) async throws

    /// Removes what belongs to one turn from a driver's state directory, because its runtime was killed: it may hold
    /// secrets. What is not there is no error.
    func removeLeftovers(stateDirectory: String)
}

/// What an agent is given for one turn.
package struct DriverTurn: Sendable {
    package let request: StartRequest
    /// The message that the turn is about: the last one of the user.
    package let message: UIMessage
    /// The answer's id, from which the ids of its parts are made.
    package let messageID: String
    /// Where the agent works: an absolute path.
    package let workingDirectory: String
    /// Where a driver keeps what it must know in later turns, such as the agent's own name for the conversation; there
    /// is one for each driver, and it is forgotten with the conversation.
    package let stateDirectory: String
    /// The whole environment of the agent's process: the runtime's, with credentials.
    package let environment: [String: String]

    package init(
        request: StartRequest,
        message: UIMessage,
        messageID: String,
        workingDirectory: String,
        stateDirectory: String,
        environment: [String: String]
    ) {
        self.request = request
        self.message = message
        self.messageID = messageID
        self.workingDirectory = workingDirectory
        self.stateDirectory = stateDirectory
        self.environment = environment
    }
}

/// Where a driver's chunks and questions go.
package struct DriverOutput: Sendable {
    /// Returns when the chunk is kept, so that an agent that writes fast is held up.
    package let send: @Sendable (Chunk) async throws -> Void
    /// Returns the user's answers by the text of each question; throws when the turn is cancelled.
    package let ask: @Sendable (PendingQuestion) async throws -> [String: String]

    package init(
        send: @escaping @Sendable (Chunk) async throws -> Void,
        ask: @escaping @Sendable (PendingQuestion) async throws -> [String: String]
    ) {
        self.send = send
        self.ask = ask
    }
}

/// Why an agent's turn failed; the message is for the user.
package struct DriverError: Error, Sendable, Equatable, CustomStringConvertible {
    package let message: String

    package init(_ message: String) {
        self.message = message
    }

    package var description: String { message }
}
