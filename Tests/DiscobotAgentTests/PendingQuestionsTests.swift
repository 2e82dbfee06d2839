// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import Testing

@testable import DiscobotAgent

@Suite(.timeLimit(.minutes(10)))
struct PendingQuestionsTests {
    private static func question(_ id: String) -> PendingQuestion {
        PendingQuestion(
            toolUseID: id,
            questions: [.init(question: "Which?", header: "", options: [], multiSelect: false)]
        )
    }

    private static func wait(for questions: PendingQuestions, _ id: String) async {
        while questions.response(id).status != "pending" { await Task.yield() }
    }

    @Test
    func `an answer goes to who asked, and is remembered as given`() async throws {
        let questions = PendingQuestions()
        async let answer = questions.ask(Self.question("a"))
        await Self.wait(for: questions, "a")
        #expect(questions.response(nil).question?.toolUseID == "a")
        #expect(throws: ServerError.self) { try questions.answer(.init(toolUseID: "b", answers: [:])) }
        try questions.answer(.init(toolUseID: "a", answers: ["Which?": "This"]))
        #expect(try await answer == ["Which?": "This"])
        #expect(questions.response("a").status == "answered")
        #expect(throws: ServerError.self) { try questions.answer(.init(toolUseID: "a", answers: [:])) }
    }

    @Test
    func `a question that nobody asks any more is gone, and the others stay`() async throws {
        let questions = PendingQuestions()
        let first = Task { try await questions.ask(Self.question("a")) }
        let second = Task { try await questions.ask(Self.question("b")) }
        await Self.wait(for: questions, "a")
        await Self.wait(for: questions, "b")
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        #expect(questions.response("a") == QuestionResponse(status: nil, question: nil))
        #expect(questions.response(nil).question?.toolUseID == "b")
        questions.close()
        await #expect(throws: CancellationError.self) { try await second.value }
        #expect(questions.response("b").status == nil)
        await #expect(throws: CancellationError.self) { try await questions.ask(Self.question("c")) }
    }
}
