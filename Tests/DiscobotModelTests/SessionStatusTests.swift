// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Testing

struct SessionStatusTests {
    @Test(arguments: [
        (SessionStatus.initializing, SessionStatus.cloning), (.initializing, .pullingImage),
        (.cloning, .creatingSandbox), (.pullingImage, .ready), (.creatingSandbox, .ready), (.ready, .running),
        (.running, .ready), (.ready, .stopped), (.running, .stopped), (.stopped, .reinitializing),
        (.error, .reinitializing), (.reinitializing, .ready), (.removing, .removed),
    ])
    func `follows the life of a session`(from: SessionStatus, to: SessionStatus) {
        #expect(from.canBecome(to))
    }

    @Test(arguments: [
        (SessionStatus.creatingSandbox, SessionStatus.cloning), (.ready, .cloning), (.stopped, .running),
        (.stopped, .ready), (.error, .running), (.removing, .ready), (.removed, .initializing),
        (.initializing, .running), (.running, .removed),
    ])
    func `refuses what cannot follow`(from: SessionStatus, to: SessionStatus) {
        #expect(!from.canBecome(to))
    }

    @Test(arguments: SessionStatus.allCases.filter { $0 != .removed && $0 != .removing })
    func `any living session can fail and be removed`(status: SessionStatus) {
        #expect(status.canBecome(.error))
        #expect(status.canBecome(.removing))
    }

    @Test
    func `a transfer of commits starts from rest and ends`() {
        for start in [CommitStatus.none, .completed, .failed] { #expect(start.canBecome(.pending)) }
        for end in [CommitStatus.completed, .failed] {
            #expect(CommitStatus.pending.canBecome(end))
            #expect(CommitStatus.committing.canBecome(end))
        }
        #expect(!CommitStatus.pending.canBecome(.pending))
        #expect(!CommitStatus.none.canBecome(.completed))
        #expect(CommitStatus.completed.canBecome(.none))
        for status in CommitStatus.allCases {
            let isUnderWay = [.pending, .committing].contains(status)
            #expect(status.isUnderWay == isUnderWay)
            // Who asks for a transfer that is under way is refused by this.
            #expect(status.canBecome(.pending) == !isUnderWay)
            // A session that was moved has landed nothing.
            #expect(status.canBecome(.none) == (isUnderWay || status == .completed))
        }
    }
}
