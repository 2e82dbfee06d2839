// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Testing

@testable import DiscobotServices

/// Host names of services.
struct PreviewLabelTests {
    @Test(
        arguments: [
            ("a-svc-b.localhost:3001", "a", "b"), ("A-SVC-Web.Example.com", "a", "web"),
            ("a-svc-b-svc-c", "a", "b-svc-c"),
            ("a--svc-b.x", "a-", "b"), ("a-b-c-svc-x_y.localhost.", "a-b-c", "x_y"),
        ]
    )
    func `a label names a session and a service`(host: String, session: String, service: String) {
        let label = PreviewLabel(host: host)
        #expect(label?.session == session)
        #expect(label?.service == service)
    }

    @Test(arguments: [
        "localhost", "-svc-b.x", "a-svc-.x", "a.b-svc-c.x", "a-svc.x", "", "ä-svc-b", "[::1]:3001", "a svc-svc-b",
    ])
    func `other hosts name none`(host: String) {
        #expect(PreviewLabel(host: host) == nil)
    }

    @Test(
        arguments: [
            "a", "web-1", "0d9ff2a2-3c5e-4a0a-9f5b-6f1d3c7f8e11", "-a", "a-", "a-svc", "a-svc-b", "A", "a-svc-svc",
            "xn--a",
            String(repeating: "a", count: 65), "h-abcdefghijklmnopqrstuvwx", "svc", "-svc-",
        ]
    )
    func `each session has a label that leads to it alone`(id: String) throws {
        let label = try #require(PreviewLabel(session: ID(rawValue: id), service: "web"))
        #expect(label.text.utf8.count <= 63)
        #expect(label.text == label.text.lowercased())
        let read = try #require(PreviewLabel(host: "\(label.text).localhost"))
        #expect(read == label)
        #expect(read.service == "web")
        if read.isAlias {
            #expect(read.session == PreviewLabel.alias(of: ID(rawValue: id)))
        } else {
            #expect(read.session == id)
        }
    }

    @Test
    func `a service whose name is too long has no label`() {
        #expect(PreviewLabel(session: "a", service: String(repeating: "s", count: 60)) == nil)
        let long = PreviewLabel(
            session: "0d9ff2a2-3c5e-4a0a-9f5b-6f1d3c7f8e11",
            service: String(repeating: "s", count: 30)
        )
        #expect(long?.isAlias == true)
    }

    @Test
    func `codes are for one place and one key`() throws {
        let box = try SecretBox(hexKey: String(repeating: "ab", count: 32))
        let other = try SecretBox(hexKey: String(repeating: "cd", count: 32))
        let code = box.code(for: "preview/a/b")
        #expect(code.count == 26)
        #expect(box.isValid(code: code.uppercased(), for: "preview/a/b"))
        #expect(!box.isValid(code: code, for: "preview/a/c"))
        #expect(!other.isValid(code: code, for: "preview/a/b"))
        for wrong in ["", "x", String(code.dropLast()), code + "a"] {
            #expect(!box.isValid(code: wrong, for: "preview/a/b"))
        }
    }
}
