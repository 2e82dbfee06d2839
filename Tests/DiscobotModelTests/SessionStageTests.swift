// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Testing

/// How a session notes what its preparation takes.
struct SessionStageTests {
    private static func time(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

    private static func session() -> Session {
        Session(
            id: "s",
            projectID: "p",
            workspaceID: "w",
            name: "n",
            status: .initializing,
            createdAt: time(0),
            updatedAt: time(0)
        )
    }

    @Test
    func `times each stage until it is ready`() {
        var session = Self.session()
        session.become(.initializing, at: Self.time(0))
        session.become(.cloning, at: Self.time(10))
        session.become(.cloning, at: Self.time(20))
        session.become(.creatingSandbox, at: Self.time(40))
        session.become(.ready, at: Self.time(100))
        #expect(session.stages.map(\.stage) == ["initializing", "cloning", "creating_sandbox"])
        #expect(session.stages.map(\.durationMs) == [10, 30, 60])
        #expect(SessionProgress(session)?.elapsed == .milliseconds(100))
    }

    @Test
    func `begins anew when it is prepared again, and forgets why it failed`() {
        var session = Self.session()
        session.become(.initializing, at: Self.time(0))
        session.become(.error, at: Self.time(5))
        session.errorMessage = "no disk"
        #expect(session.stages.map(\.durationMs) == [5])
        session.become(.reinitializing, at: Self.time(50))
        #expect(session.errorMessage == nil)
        #expect(session.stages.map(\.stage) == ["reinitializing"])
        #expect(session.stages.last?.durationMs == nil)
    }
}
