// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import DiscobotGit

@Suite struct GitErrorTests {
    @Test(arguments: [
        ("fatal: https://token@host/x failed", "fatal: https://***@host/x failed"),
        ("'https://user:pa:ss@host/x' and ssh://a@b", "'https://***@host/x' and ssh://***@b"),
        ("https://a@b@host/x", "https://***@host/x"),
        ("https://me:a?b#c@host/x", "https://***@host/x"),
        ("https://host/@scope/x", "https://host/@scope/x"),
        ("mail a@b about https://host", "mail a@b about https://host"),
        ("https://", "https://"),
        ("no URL", "no URL"),
    ])
    func `redacts user information in URLs`(text: String, expected: String) {
        #expect(GitError(.failed, text).message == expected)
    }

    @Test func `trims and shortens the message`() {
        #expect(GitError(.failed, " \n text \r\n").message == "text")
        #expect(GitError(.failed, " \n ").message.isEmpty)
        let long = GitError(.failed, String(repeating: "x", count: 5_000)).message
        #expect(long.count == GitError.messageLimit)
        #expect(long.hasSuffix("…"))
    }

    @Test func `leaves progress and advice out of the reason`() {
        let error = GitError(
            command: "clone",
            exitCode: 128,
            standardError: """
                Cloning into '/srv/.x.cloning'...
                remote: Counting objects:  50% (1/2)
                hint: try harder
                fatal: repository 'https://me:secret@host/x/' not found
                """
        )
        #expect(error.code == .notFound)
        #expect(error.message == "repository 'https://***@host/x/' not found")
    }

    @Test(arguments: [
        "error: unable to write file big: No space left on device\nfatal: index-pack failed",
        "fatal: write error: Disk quota exceeded",
    ])
    func `tells a full disk from other failures`(text: String) {
        #expect(GitError(command: "fetch", exitCode: 128, standardError: text).code == .storageFull)
    }

    @Test func `names the command and the exit code when git said nothing`() {
        let error = GitError(command: "fetch", exitCode: 3, standardError: "")
        #expect(error.message == "git fetch failed with exit code 3")
        #expect(error.code == .failed)
    }
}
