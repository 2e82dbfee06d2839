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
        list = Self.namespaces(specification.network)
        add("--die-with-parent", "--clearenv", "--chdir", Self.data)
        showSystem(Self.memoryBytes(specification.limits))
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

    /// What sets a sandbox apart, which not every kernel and bubblewrap can do.
    static func namespaces(_ network: Workspace.Network) -> [String] {
        ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
            // With internet, the namespace is there already when bubblewrap begins.
            + (network == .none ? ["--unshare-net"] : [])
            + ["--uid", "1000", "--gid", "1000", "--hostname", "discobot", "--cap-drop", "ALL", "--disable-userns"]
    }

    /// The size of each file system in memory; without control groups nothing else keeps them from filling all of it.
    static func memoryBytes(_ limits: SandboxSpecification.Limits) -> Int {
        limits.memoryMegabytes.map { ($0 << 20) / 4 } ?? 1 << 30
    }

    private mutating func addMemory(_ path: String, _ bytes: Int, mode: String) {
        add("--perms", mode, "--size", String(bytes), "--tmpfs", path)
    }

    private mutating func showSystem(_ memoryBytes: Int) {
        add("--proc", "/proc")
        // The kernel lets root's files there be written without any capability, and this may be root by another name.
        for name in ["sys", "irq", "bus", "fs"] { add("--ro-bind-try", "/proc/\(name)", "/proc/\(name)") }
        for name in ["sysrq-trigger", "kcore"] where access("/proc/\(name)", F_OK) == 0 {
            add("--ro-bind", "/dev/null", "/proc/\(name)")
        }
        for name in ["scsi", "acpi", "dynamic_debug"] where access("/proc/\(name)", F_OK) == 0 {
            addMemory("/proc/\(name)", 4096, mode: "0555")
            add("--remount-ro", "/proc/\(name)")
        }
        add("--dev", "/dev")
        for path in ["/dev/shm", "/tmp", "/var/tmp"] { addMemory(path, memoryBytes, mode: "1777") }
        addMemory("/run", memoryBytes, mode: "0755")
        // In memory too, and of no fixed size; devices can be written all the same.
        add("--remount-ro", "/dev", "--ro-bind", "/usr", "/usr", "--ro-bind-try", "/opt", "/opt")
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
            "gitconfig", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "os-release",
            "protocols", "services", "timezone",
            // Not the directories as a whole, which have private keys that root can read.
            "pki/ca-trust", "pki/tls/certs", "pki/tls/cert.pem", "ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf",
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
