// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import Glibc

/// What a sandbox sees and may do, as options of bubblewrap.
struct BubblewrapArguments {
    /// Where a sandbox has its things; the same as in containers.
    static let workspace = "/.workspace"
    static let data = "/.data"
    static let cache = "/.data/cache"
    static let runtime = "/.discobot/discobot-agent"
    static let runDirectory = "/run/discobot"

    private(set) var list: [String] = []

    /// - Parameters:
    ///   - etc: the directory with the files that are the sandbox's own, such as `passwd`.
    ///   - programs: what of the user's programs is shown, and where they are looked for.
    init(
        _ specification: SandboxSpecification,
        files: LocalSessionFiles,
        cache: String,
        etc: String,
        runtime: String,
        libraries: [String],
        programs: UserPrograms,
        variables: [(String, String)]
    ) {
        isolate(specification.network)
        showSystem()
        showEtc(etc, specification.network)
        for path in libraries + programs.directories { add("--ro-bind", path, path) }
        add("--ro-bind", runtime, Self.runtime)
        add("--ro-bind", specification.workspacePath, Self.workspace)
        add("--bind", files.data, Self.data)
        add("--bind", cache, Self.cache)
        add("--bind", files.runDirectory, Self.runDirectory)
        // The root itself is a file system in memory, which programs could fill.
        add("--remount-ro", "/")
        for (name, value) in variables { add("--setenv", name, value) }
    }

    private mutating func add(_ arguments: String...) {
        list += arguments
    }

    private mutating func isolate(_ network: Workspace.Network) {
        add("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
        // With internet, the namespace is there already when bubblewrap begins.
        if network == .none { add("--unshare-net") }
        add("--uid", "1000", "--gid", "1000", "--hostname", "discobot", "--cap-drop", "ALL", "--disable-userns")
        add("--die-with-parent", "--clearenv", "--chdir", Self.data)
    }

    private mutating func showSystem() {
        add("--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp", "--tmpfs", "/run")
        add("--perms", "1777", "--tmpfs", "/var/tmp", "--ro-bind", "/usr", "/usr", "--ro-bind-try", "/opt", "/opt")
        for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
            // Links into /usr on most systems, directories on some.
            if let target = Self.linkTarget("/\(name)") {
                add("--symlink", target, "/\(name)")
            } else {
                add("--ro-bind-try", "/\(name)", "/\(name)")
            }
        }
    }

    private mutating func showEtc(_ etc: String, _ network: Workspace.Network) {
        let ofHost = [
            "alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "debian_version",
            "gitconfig", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "os-release", "pki",
            "protocols", "services", "ssl", "timezone",
        ]
        for name in ofHost { add("--ro-bind-try", "/etc/\(name)", "/etc/\(name)") }
        for name in ["passwd", "group", "hosts", "nsswitch.conf"] { add("--ro-bind", "\(etc)/\(name)", "/etc/\(name)") }
        switch network {
        case .none: break
        case .internet: add("--ro-bind", "\(etc)/resolv.conf", "/etc/resolv.conf")
        case .host: add("--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf")
        }
    }

    private static func linkTarget(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }

    /// The sandbox's own files in `/etc`, by name.
    static let etc = [
        "passwd": """
        root:x:0:0:root:/nonexistent:/usr/sbin/nologin
        agent:x:1000:1000:agent:/.data/home:/bin/bash
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin

        """,
        "group": "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n",
        "hosts": "127.0.0.1 localhost discobot\n::1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
        // The network's own name server, which asks the host's.
        "resolv.conf": "nameserver 10.0.2.3\n",
    ]
}
