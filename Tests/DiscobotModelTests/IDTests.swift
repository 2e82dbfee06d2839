// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Testing

struct IDTests {
    @Test func `ordered ids are UUIDs in the order in which they were made`() {
        let ids = (0..<10_000).map { _ in ID<Job>.ordered().rawValue }
        #expect(ids == ids.sorted())
        #expect(Set(ids).count == ids.count)
        let form = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/
        #expect(ids.allSatisfy { $0.wholeMatch(of: form) != nil })
    }
}
