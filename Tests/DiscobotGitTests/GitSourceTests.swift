// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import DiscobotGit

@Suite struct GitSourceTests {
    @Test(arguments: [
        "https://github.com/org/repo", "https://github.com/org/repo.git", "http://localhost:3000/x",
        "https://[::1]:8443/x.git", "https://host/a/b?ref=c", "https://host/~user/%20x", "https://host/ü",
        "ssh://git@host/x.git", "ssh://host:2222/x", "ssh://git@[fe80::1]:22/x", "git://host/x.git",
        "file:///srv/x.git", "file:///x", "git@github.com:org/repo.git", "me.too@host:~/x", "git@[::1]:x",
        "git@host:/srv/x", "git@host:22/x", "/srv/repositories/x.git",
    ])
    func `accepts a plain remote`(text: String) throws {
        #expect(try GitSource.remote(parsing: text) == .remote(url: text))
        #expect(GitSource.isRemote(text))
    }

    @Test(arguments: [
        ("", "empty"),
        ("-uupload-pack=touch x", "white space"),
        ("--upload-pack=x", "begins with '-'"),
        ("-\u{301}x@host:y", "begins with '-'"),
        ("ext::sh", "remote helpers"),
        ("ext::sh%20-c", "remote helpers"),
        ("fd::17", "remote helpers"),
        ("git-remote-x::https://host/x", "remote helpers"),
        ("::x", "remote helpers"),
        ("https://host/x y", "white space"),
        ("https://host/x\u{A0}y", "white space"),
        ("https://host/x\ny", "control character"),
        ("https://host/x\u{0}y", "control character"),
        ("https://host/x\u{7F}", "control character"),
        ("https://host/\u{85}", "control character"),
        ("https://host\\@evil/x", "backslash"),
        ("https://token@host/x", "credential helper"),
        ("https://user:password@host/x", "credential helper"),
        ("http://@host/x", "credential helper"),
        ("ssh://git:secret@host/x", "credential helper"),
        ("ssh://-oProxyCommand=x/y", "host begins with '-'"),
        ("ssh://git@-oProxyCommand=x/y", "host begins with '-'"),
        ("ssh://-oProxyCommand=x@host/y", "user name"),
        ("ssh://%2DoProxyCommand=x/y", "host is not valid"),
        ("ssh://[-oProxyCommand=x]/y", "host begins with '-'"),
        ("ssh://a@b@host/x", "user name"),
        ("ssh://@host/x", "user name"),
        ("git@-oProxyCommand=x:y", "host begins with '-'"),
        ("-oProxyCommand=x@host:y", "begins with '-'"),
        ("git@host:-x", "path begins with '-'"),
        ("git@host:-\u{301}x", "path begins with '-'"),
        ("git@host:", "path is empty"),
        ("git@host:/", "path is empty"),
        ("git@:x", "host is empty"),
        ("git@host", "user@host:path"),
        ("host:x", "user@host:path"),
        ("https:///x", "host is empty"),
        ("https://:80/x", "host is empty"),
        ("https://host", "path is empty"),
        ("https://host/", "path is empty"),
        ("https://host?x", "path is empty"),
        ("https://host:/x", "port"),
        ("https://host:0/x", "port"),
        ("https://host:99999/x", "port"),
        ("https://host:+80/x", "port"),
        ("https://../x", "host is not valid"),
        ("https://ho$t/x", "host is not valid"),
        ("https://[::1/x", "host is not valid"),
        ("https://[]/x", "host is not valid"),
        ("git://user@host/x", "no user"),
        ("file://host/x", "no host"),
        ("file:///", "path is empty"),
        ("ftp://host/x", "use https"),
        ("javascript://x/y", "use https"),
        ("git+ssh://host/x", "use https"),
        ("/srv/x", "ends in .git"),
        ("x.git", "user@host:path"),
        ("../x.git", "user@host:path"),
        ("C:/x.git", "user@host:path"),
    ])
    func `refuses a remote and says why`(text: String, reason: String) async throws {
        let error = try #require(throws: GitError.self) { try GitSource.remote(parsing: text) }
        #expect(error.code == .invalidArgument)
        #expect(error.message.contains(reason), "\(error.message)")
        #expect(!error.message.contains("secret") && !error.message.contains("password"))
    }

    @Test func `refuses a very long remote`() {
        let text = "https://host/" + String(repeating: "x", count: 3_000)
        #expect(throws: GitError.self) { try GitSource.remote(parsing: text) }
    }

    @Test func `writes the scheme in lower case, as git wants it`() throws {
        #expect(try GitSource.remote(parsing: "HTTPS://Host/X") == .remote(url: "https://Host/X"))
    }

    @Test(arguments: [
        ("/srv/project", false), ("/srv/x.git", true), ("~/project", false), ("org/repo", false), ("x.git", false),
        ("HTTPS://host/x", true), ("git@", true), ("ext::sh -c x", false), ("a@b::c", false), ("/a@b:c", false),
    ])
    func `tells a remote from a path`(text: String, isRemote: Bool) {
        #expect(GitSource.isRemote(text) == isRemote)
    }

    @Test func `parses either kind`() throws {
        #expect(try GitSource(parsing: "/srv/project") == .local(path: "/srv/project"))
        #expect(try GitSource(parsing: "git@host:x") == .remote(url: "git@host:x"))
        #expect(throws: GitError.self) { try GitSource(parsing: "project") }
        #expect(throws: GitError.self) { try GitSource(parsing: "ext::sh") }
    }

    @Test(arguments: [
        ("org/repo", "https://github.com/org/repo"), ("a-b/c.d_e-f", "https://github.com/a-b/c.d_e-f"),
        ("org", nil), ("org/", nil), ("/repo", nil), ("a/b/c", nil), ("-a/b", nil), ("a/-b", nil), ("a/..", nil),
        ("a b/c", nil), ("ä/b", nil), ("a_b/c", nil), ("", nil),
    ])
    func `expands the shorthand of GitHub`(text: String, url: String?) {
        #expect(GitSource.gitHubURL(fromShorthand: text) == url)
    }
}
