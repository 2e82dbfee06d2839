// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
import Testing

@testable import DiscobotServices

struct ProgressFilterTests {
    @Test
    func `tells each phase and every five percent`() {
        var filter = ProgressFilter()
        let reports = [
            ("receiving", 0), ("receiving", 3), ("receiving", 5), ("receiving", 99), ("receiving", 100),
            ("resolving", 0),
        ]
        let told = reports.map { filter.isWorthTelling(GitCloneProgress(phase: $0.0, percent: $0.1)) }
        #expect(told == [true, false, true, true, true, true])
    }

    @Test
    func `tells nothing twice`() {
        var filter = ProgressFilter()
        let done = GitCloneProgress(phase: "receiving", percent: 100)
        let told = [done, done].map { filter.isWorthTelling($0) }
        #expect(told == [true, false])
    }
}
