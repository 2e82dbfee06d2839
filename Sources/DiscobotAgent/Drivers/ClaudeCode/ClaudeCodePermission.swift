// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import FoundationEssentials

/// The program's request to use a tool.
struct ClaudeCodePermission: Sendable, Equatable {
    var requestID = ""
    var toolName: String
    var toolUseID: String
    var input: JSONValue
    var description: String?
    /// The rules by which the program would not ask again.
    var suggestions: JSONValue?
    /// Whether the tool is about the user, so that nobody else may answer.
    var needsUser = false

    static let question = "AskUserQuestion"
    static let plan = "ExitPlanMode"
    static let allow = "Allow"
    static let allowAlways = "Always allow for this session"
    static let deny = "Deny"
    static let approve = "Approve"
    static let keepPlanning = "Keep planning"
}

extension ClaudeCodePermission: Decodable {
    private enum Field: String, CodingKey {
        case input, description
        case toolName = "tool_name"
        case toolUseID = "tool_use_id"
        case suggestions = "permission_suggestions"
        case needsUser = "requires_user_interaction"
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Field.self)
        toolName = try fields.decode(String.self, forKey: .toolName)
        toolUseID = try fields.decode(String.self, forKey: .toolUseID)
        input = try fields.decode(JSONValue.self, forKey: .input)
        description = try? fields.decode(String.self, forKey: .description)
        suggestions = try? fields.decode(JSONValue.self, forKey: .suggestions)
        needsUser = (try? fields.decode(Bool.self, forKey: .needsUser)) ?? false
    }
}

extension ClaudeCodePermission {
    /// What the user is asked.
    var pendingQuestion: PendingQuestion {
        let questions =
            switch toolName {
            case Self.question: askedQuestions
            case Self.plan: [planQuestion]
            default: [toolQuestion]
            }
        return PendingQuestion(toolUseID: toolUseID, questions: questions)
    }

    /// The answer to the program.
    func decision(_ answers: [String: String]) -> JSONValue {
        switch toolName {
        case Self.question: return allowed(adding: [("answers", .object(answers.map { ($0, .string($1)) }))])
        case Self.plan:
            let answer = answers[planQuestion.question] ?? Self.keepPlanning
            return answer == Self.approve ? allowed() : denied(Self.keepPlanning, answer)
        default: return toolDecision(answers[toolQuestion.question] ?? Self.deny)
        }
    }

    /// Allows what is asked for, as it is asked for.
    func allowed(adding fields: [(String, JSONValue)] = []) -> JSONValue {
        var input = input
        if case .object(let own) = input, !fields.isEmpty { input = .object(own + fields) }
        return ["behavior": "allow", "updatedInput": input]
    }

    private func denied(_ message: String, _ answer: String) -> JSONValue {
        // An answer in the user's own words is for the model.
        let isOwn = answer != Self.deny && answer != Self.keepPlanning && !answer.isEmpty
        return ["behavior": "deny", "message": .string(isOwn ? "\(message). The user says: \(answer)" : message)]
    }

    private func toolDecision(_ answer: String) -> JSONValue {
        switch answer {
        case Self.allow: return allowed()
        case Self.allowAlways:
            guard case .object(let fields) = allowed() else { return allowed() }
            return .object(fields + [("updatedPermissions", sessionRules)])
        default: return denied("The user did not allow this", answer)
        }
    }

    /// The suggestions for this conversation: the program would write some of them into the working copy.
    private var sessionRules: JSONValue {
        .list(
            (suggestions?.elements ?? []).map { rule in
                guard case .object(let fields) = rule else { return rule }
                return .object(fields.filter { $0.0 != "destination" } + [("destination", "session")])
            }
        )
    }

    private var askedQuestions: [PendingQuestion.Question] {
        (input["questions"]?.elements ?? []).map { question in
            PendingQuestion.Question(
                question: question["question"]?.text ?? "",
                header: question["header"]?.text ?? "",
                options: (question["options"]?.elements ?? []).map { option in
                    let description = option["description"]?.text ?? ""
                    return PendingQuestion.Option(label: option["label"]?.text ?? "", description: description)
                },
                multiSelect: question["multiSelect"] == true
            )
        }
    }

    private var planQuestion: PendingQuestion.Question {
        let plan = input["plan"]?.text ?? ""
        return PendingQuestion.Question(
            question: plan.isEmpty ? "Approve the plan?" : "Approve the plan?\n\n\(plan)",
            header: "Plan",
            options: [
                PendingQuestion.Option(label: Self.approve, description: "Begin to work by this plan"),
                PendingQuestion.Option(label: Self.keepPlanning, description: "Go on without changing anything"),
            ],
            multiSelect: false
        )
    }

    private var toolQuestion: PendingQuestion.Question {
        var options = [PendingQuestion.Option(label: Self.allow, description: summary)]
        if suggestions?.elements?.isEmpty == false {
            options.append(
                PendingQuestion.Option(label: Self.allowAlways, description: "Do not ask again for the like")
            )
        }
        options.append(PendingQuestion.Option(label: Self.deny, description: "Go on without it"))
        return PendingQuestion.Question(
            question: "Allow \(toolName)?",
            header: "Permission",
            options: options,
            multiSelect: false
        )
    }

    /// What the tool would do, in the words of its input.
    private var summary: String {
        let names = [
            "command", "file_path", "notebook_path", "url", "path", "pattern", "query", "description", "prompt",
        ]
        let own = names.lazy.compactMap { input[$0]?.text }.first { !$0.isEmpty }
        return String((own ?? description ?? inputText).prefix(1000))
    }

    private var inputText: String {
        (try? JSONEncoding.bytes(of: input)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}
