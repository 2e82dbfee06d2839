// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import Subprocess
import SystemPackage

/// The environment git runs in. It is built from scratch: no `GIT_*` variable of the server reaches git.
package struct GitEnvironment: Equatable, Sendable {
    let variables: [String: String]
    /// The path of git, or its name.
    let git: String

    /// Takes what git needs to reach the network, the user's identity and credentials from `process`.
    package init(inheriting process: [String: String] = ProcessInfo.processInfo.environment) {
        self.init(
            process.filter { Self.inherited.contains($0.key) }
                .merging(["PATH": "/usr/local/bin:/usr/bin:/bin"]) { own, _ in own }
                .merging(Self.fixed) { _, fixed in fixed }
        )
    }

    /// Looked for here because a name costs one process for each directory of the search path that does not have it.
    private static func git(in searchPath: String) -> String {
        let paths = searchPath.split(separator: ":").map { String($0) + "/git" }
        // A name where there is none: it may be installed later, and the failure says what is missing.
        return paths.first(where: isProgram) ?? "git"
    }

    var executable: Executable { git.contains("/") ? .path(FilePath(git)) : .name(git) }

    private static func isProgram(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
    }

    private init(_ variables: [String: String]) {
        self.variables = variables
        git = Self.git(in: variables["PATH"] ?? "")
    }

    /// With more variables, which overrule those that are there.
    package func adding(_ more: [String: String]) -> GitEnvironment {
        GitEnvironment(variables.merging(more) { $1 })
    }

    private static let inherited: Set<String> = [
        "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK",
        "SSL_CERT_FILE", "SSL_CERT_DIR",
        "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    ]

    private static let fixed = [
        // UTF-8 without translations: messages stay English, names stay intact.
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        // Of repositories that are made here; whatever git's defaults become.
        "GIT_DEFAULT_HASH": "sha1",
        "GIT_DEFAULT_REF_FORMAT": "files",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        // Nobody is there to answer. Empty (not unset) also overrules core.askPass, so a missing credential
        // fails at once instead of being tried with an empty password.
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "GCM_INTERACTIVE": "never",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=30",
        "GIT_EDITOR": ":",
        "GIT_PAGER": "cat",
        // A whitelist that overrules protocol.* of any configuration: no ext::, no other remote helper.
        "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file",
        // Names come from users: never globs, never `:(magic)`.
        "GIT_LITERAL_PATHSPECS": "1",
        // Only spares git from refreshing the index as a side effect; commands that must lock still do.
        "GIT_OPTIONAL_LOCKS": "0",
    ]

    /// Configuration that overrules the user's and the repository's: no programs that nobody here asks for, and no
    /// change of the output this module parses. Filters and credential helpers stay, git LFS needs them.
    static let configuration = [
        "protocol.ext.allow=never",
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.quotePath=false",
        "core.pager=cat",
        "gc.auto=0",
        "maintenance.auto=false",
        "submodule.recurse=false",
        "fetch.recurseSubmodules=false",
        "color.ui=false",
        "commit.gpgSign=false",
        "log.showSignature=false",
        "diff.autoRefreshIndex=true",
        "diff.orderFile=/dev/null",
        "i18n.commitEncoding=UTF-8",
        "advice.detachedHead=false",
        "init.defaultBranch=main",
    ]
}
