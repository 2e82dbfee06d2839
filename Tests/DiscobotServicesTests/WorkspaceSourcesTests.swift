// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Testing

@testable import DiscobotServices

struct WorkspaceSourcesTests {
    private let sources = WorkspaceSources(providers: ["docker", "local"], home: "/home/me")

    @Test(arguments: [
        ("~", "/home/me"), ("~/a", "/home/me/a"), ("/a/../b", "/b"), ("/a//b/./c/", "/a/b/c"), ("~other/a", "~other/a"),
    ])
    func `paths are cleaned`(path: String, cleaned: String) {
        #expect(sources.cleaned(path) == cleaned)
    }

    @Test
    func `what looks like a remote is one unless the user says otherwise`() throws {
        #expect(try sources.check(path: "https://host/a.git", sourceType: nil).type == .git)
        #expect(try sources.check(path: "git@host:a.git", sourceType: nil).type == .git)
        #expect(try sources.check(path: "/tmp/not-there-yet", sourceType: nil).type == .local)
        #expect(throws: ServerError.self) { try sources.check(path: "https://host/a.git", sourceType: .local) }
        #expect(throws: ServerError.self) { try sources.check(path: "/tmp/not-there-yet", sourceType: .git) }
    }

    @Test(arguments: ["", "  ", "relative/path", "ext::sh -c id", "-oProxyCommand=id", "https://user:password@host/a"])
    func `refuses what cannot become a workspace`(path: String) {
        let error = #expect(throws: ServerError.self) { try sources.check(path: path, sourceType: nil) }
        #expect(error?.code == .invalidArgument)
    }

    @Test
    func `knows the providers`() throws {
        try sources.check(provider: "")
        try sources.check(provider: "local")
        let error = #expect(throws: ServerError.self) { try sources.check(provider: "vz") }
        #expect(error?.message.contains("docker, local") == true)
    }

    @Test
    func `a form hears what a path would become`() async throws {
        try await TemporaryDirectory.with { directory in
            let repository = try await directory.makeRepository()
            try directory.write("x", to: "file")
            #expect(sources.validate(path: repository, sourceType: .local).classification == "repository")
            #expect(sources.validate(path: directory.file("new"), sourceType: .local).classification == "new")
            #expect(
                sources.validate(path: directory.path, sourceType: .local).error?.contains("not a git repository")
                    == true
            )
            let short = sources.validate(path: "owner/name", sourceType: .git)
            #expect(short.path == "https://github.com/owner/name")
            #expect(short.classification == "remote")
        }
    }
}
