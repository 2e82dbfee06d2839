// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Foundation
import Testing

struct ValueTests {
    @Test(arguments: [
        ("My Project", "my-project-12345678"), ("  a--B!!c ", "a-b-c-12345678"), ("Größe 7", "gr-e-7-12345678"),
        ("日本", "12345678"),
    ])
    func `a slug keeps letters and digits`(name: String, slug: String) {
        #expect(Project.slug(name: name, suffix: "12345678") == slug)
    }

    @Test
    func `a random id is a version 4 UUID in lower case`() {
        let id = ID<Project>.random()
        #expect(
            id.rawValue.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil
        )
        #expect(id != ID<Project>.random())
    }

    @Test
    func `a timestamp is RFC 3339 with milliseconds`() {
        #expect(Timestamp(milliseconds: 1_767_225_600_123).rfc3339 == "2026-01-01T00:00:00.123Z")
    }

    @Test(arguments: [
        ("2026-01-01T00:00:00.123Z", 1_767_225_600_123), ("2026-01-01T00:00:00Z", 1_767_225_600_000),
        ("2026-01-01T02:00:00+02:00", 1_767_225_600_000),
    ])
    func `reads RFC 3339 with and without a fraction`(text: String, milliseconds: Int64) {
        #expect(Timestamp(rfc3339: text)?.milliseconds == milliseconds)
    }

    @Test(arguments: ["", "yesterday", "2026-13-01T00:00:00Z", "1767225600"])
    func `refuses other texts as times`(text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test
    func `roles are ordered by power`() {
        #expect(ProjectRole.member < .admin)
        #expect(ProjectRole.admin < .owner)
    }

    @Test
    func `a page never holds more than the maximum`() {
        #expect(PageRequest(limit: 5000).limit == PageRequest.maximumLimit)
    }
}
