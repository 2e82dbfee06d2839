// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

/// `POST /chat`: starts a completion.
package struct StartRequest: Sendable, Codable, Equatable {
    /// The last message of the user is what the agent is given.
    package var messages: [UIMessage]
    /// The caller's name for the completion; asking again with a name that is known starts nothing.
    package var completionId: String?
    package var model: String?
    /// How long the agent may think: `low`, `medium`, `high`.
    package var reasoning: String?
    /// `plan`: only plans; `ask`: the agent's tools wait for the user's permission; else they are used at once.
    package var mode: String?
    package var agent: AgentSettings

    package init(
        messages: [UIMessage],
        completionId: String?,
        model: String? = nil,
        reasoning: String? = nil,
        mode: String? = nil,
        agent: AgentSettings
    ) {
        self.messages = messages
        self.completionId = completionId
        self.model = model
        self.reasoning = reasoning
        self.mode = mode
        self.agent = agent
    }
}

/// Which agent works, and how it is set up.
package struct AgentSettings: Sendable, Codable, Equatable {
    /// The id of an agent type, such as `claude-code` or `shell`.
    package var type: String
    package var systemPrompt: String?
    package var mcpServers: [NamedMCPServer]

    package struct NamedMCPServer: Sendable, Codable, Equatable {
        package var name: String
        package var config: MCPServer.Configuration

        package init(name: String, config: MCPServer.Configuration) {
            self.name = name
            self.config = config
        }
    }

    package init(type: String, systemPrompt: String? = nil, mcpServers: [NamedMCPServer] = []) {
        self.type = type
        self.systemPrompt = systemPrompt
        self.mcpServers = mcpServers
    }
}

/// `POST /chat/cancel`: stops this completion, or whatever runs.
package struct CancelRequest: Sendable, Codable, Equatable {
    package let completionId: String?

    package init(completionId: String?) {
        self.completionId = completionId
    }
}

/// The answer to `POST /chat` and `POST /chat/cancel`.
package struct CompletionResponse: Sendable, Codable, Equatable {
    /// Only in the answer to a cancellation.
    package var success: Bool?
    package let completionId: String
    /// `started` or `cancelled`.
    package let status: String

    package init(success: Bool? = nil, completionId: String, status: String) {
        self.success = success
        self.completionId = completionId
        self.status = status
    }
}

/// `GET /chat/status`
package struct ChatStatus: Sendable, Codable, Equatable {
    package let isRunning: Bool
    package let completionId: String?
    package let startedAt: Timestamp?
    /// Why the last completion failed.
    package let error: String?

    package init(isRunning: Bool, completionId: String? = nil, startedAt: Timestamp? = nil, error: String? = nil) {
        self.isRunning = isRunning
        self.completionId = completionId
        self.startedAt = startedAt
        self.error = error
    }
}

/// What the agent wants to know before it goes on.
package struct PendingQuestion: Sendable, Codable, Equatable {
    package struct Option: Sendable, Codable, Equatable {
        package let label: String
        package let description: String

        package init(label: String, description: String) {
            self.label = label
            self.description = description
        }
    }

    package struct Question: Sendable, Codable, Equatable {
        package let question: String
        package let header: String
        package let options: [Option]
        package let multiSelect: Bool

        package init(question: String, header: String, options: [Option], multiSelect: Bool) {
            self.question = question
            self.header = header
            self.options = options
            self.multiSelect = multiSelect
        }
    }

    package let toolUseID: String
    package let questions: [Question]

    package init(toolUseID: String, questions: [Question]) {
        self.toolUseID = toolUseID
        self.questions = questions
    }
}

/// `GET /chat/question?toolUseID=`; without a tool use, the question that is pending now.
package struct QuestionResponse: Sendable, Codable, Equatable {
    /// `pending` or `answered`; nil when there is no such question.
    package let status: String?
    package let question: PendingQuestion?

    package init(status: String?, question: PendingQuestion?) {
        self.status = status
        self.question = question
    }

    private enum CodingKeys: CodingKey {
        case status, question
    }

    package func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: CodingKeys.self)
        try fields.encodeIfPresent(status, forKey: .status)
        // Null rather than absent when there is none.
        try fields.encode(question, forKey: .question)
    }
}

/// `POST /chat/answer`: the answer to each question by its text.
package struct AnswerRequest: Sendable, Codable, Equatable {
    package let toolUseID: String
    package let answers: [String: String]

    package init(toolUseID: String, answers: [String: String]) {
        self.toolUseID = toolUseID
        self.answers = answers
    }
}
