// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

/// What programs in a local sandbox cannot do.
@Suite(.timeLimit(.minutes(10)), .serialized)
struct LocalIsolationTests {
    static let isolated: [ProviderKind] = [.isolated, .isolatedWithInternet]

    /// What a script in a sandbox prints.
    private func output(
        of script: String,
        _ kind: ProviderKind = .isolated,
        limits: SandboxSpecification.Limits = .init()
    ) async throws -> String {
        try await TemporaryDirectory.with { directory in
            let provider = kind.local(
                directory,
                script: "{ \(script)\n} >/.data/output 2>&1; echo >/.data/done; exit 0"
            )
            try await provider.create(try kind.specification("session", directory, limits: limits))
            try await provider.start("session")
            _ = await provider.changes().first { $0.sandbox?.status != .running }
            let output = try String(
                contentsOfFile: directory.file("sandboxes/sessions/session/data/output"),
                encoding: .utf8
            )
            try await provider.remove("session", keepingData: false)
            return output.trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }

    @Test(arguments: isolated)
    func `it has no capabilities and another user`(kind: ProviderKind) async throws {
        let output = try await output(of: "grep -E 'Cap(Eff|Prm|Bnd)' /proc/self/status; id -u", kind)
        #expect(
            output.split(separator: "\n").map { $0.split(separator: "\t").last } == [
                "0000000000000000", "0000000000000000", "0000000000000000", "1000",
            ]
        )
    }

    @Test(arguments: isolated)
    func `it sees its own processes only`(kind: ProviderKind) async throws {
        let output = try await output(
            of: "cat /proc/[0-9]*/comm | sort -u | tr '\\n' ' '; [ -e /proc/\(getpid()) ] || echo hidden",
            kind
        )
        #expect(output.contains("bwrap"))
        #expect(!output.contains("xctest") && !output.contains("slirp4netns"))
        #expect(output.hasSuffix("hidden"))
    }

    @Test(arguments: [
        "/usr/x", "/etc/x", "/x", "/.workspace/x", "/opt/x", "/.discobot/x", "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/domainname", "/sys/x", "/home/x", "/dev/x",
    ])
    func `it cannot write the system or the workspace`(path: String) async throws {
        let output = try await output(of: "(echo >\(path)) 2>/dev/null && echo written || echo refused")
        #expect(output == "refused")
    }

    @Test(arguments: ["/.data/x", "/.data/cache/x", "/.data/home/x", "/tmp/x", "/run/discobot/x"])
    func `it can write where its work is`(path: String) async throws {
        #expect(try await output(of: "echo x >\(path) && cat \(path)") == "x")
    }

    @Test
    func `it sees nothing of the host's files and variables`() async throws {
        let output = try await output(
            of: "ls /root /home /var /srv /mnt /etc/shadow 2>/dev/null; env | cut -d= -f1 | sort | tr '\\n' ' '"
        )
        #expect(!output.contains("shadow"))
        #expect(output.contains("DISCOBOT_SECRET"))
        for name in ["AWS", "ENCRYPTION_KEY", "SSH"] { #expect(!output.contains(name)) }
    }

    @Test
    func `its secret's verifier is in nobody's arguments`() async throws {
        try await TemporaryDirectory.with { directory in
            let provider = ProviderKind.isolated.local(directory)
            try await provider.create(try ProviderKind.isolated.specification("session", directory))
            try await provider.start("session")
            let arguments = try await Shell.run("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; true")
            #expect(arguments.contains(directory.path))
            #expect(!arguments.contains("salt:hash"))
            try await provider.remove("session", keepingData: false)
        }
    }

    @Test
    func `it makes no further user namespaces`() async throws {
        #expect(try await output(of: "unshare --user true 2>/dev/null && echo made || echo refused") == "refused")
    }

    @Test(arguments: isolated)
    func `it does not reach this machine`(kind: ProviderKind) async throws {
        let server = try HostListener()
        defer { server.close() }
        let addresses = try await Shell.run("hostname -I").split { " \n".contains($0) }.filter { !$0.contains(":") }
        let targets = ["127.0.0.1", "10.0.2.2", "0.0.0.0"] + addresses.map(String.init)
        #expect(targets.count > 3)
        for target in ["127.0.0.1"] + addresses.map(String.init) {
            // The same attempt from here succeeds, so the refusals mean something.
            #expect(
                try await Shell.run("bash -c 'echo </dev/tcp/\(target)/\(server.port)' && echo reached")
                    == "\nreached\n"
            )
        }
        for target in targets {
            let attempt =
                "timeout 3 bash -c 'echo </dev/tcp/\(target)/\(server.port)' 2>/dev/null && echo reached || echo refused"
            #expect(try await output(of: attempt, kind) == "refused", "\(target)")
        }
    }

    @Test(arguments: isolated)
    func `it sees no abstract socket of this machine`(kind: ProviderKind) async throws {
        #expect(try await output(of: "cat /proc/net/unix | grep -c @ || true", kind) == "0")
    }

    @Test
    func `it sees certificates, and no private keys beside them`() async throws {
        #expect(
            try await output(of: "ls /etc/ssl; ls /etc/pki /etc/pki/tls 2>/dev/null | grep private; true")
                .split(separator: "\n").allSatisfy { ["certs", "openssl.cnf", "cert.pem"].contains($0) }
        )
        #expect(try await !output(of: "ls /etc/ssl/certs | head -1").isEmpty)
    }

    @Test
    func `it does not reach networks beside this machine and metadata services`() async throws {
        let routes = try await output(of: "ip route show type unreachable", .isolatedWithInternet)
        for network in ["169.254.0.0/16", "100.100.100.200", "224.0.0.0/4"] { #expect(routes.contains(network)) }
        let connected = try await Shell.run("ip -4 route show scope link | cut -d' ' -f1").split(separator: "\n")
        for network in connected where network.contains("/") { #expect(routes.contains(network)) }
    }

    @Test
    func `what it keeps in memory is limited`() async throws {
        let script = "df -B1 --output=size /tmp /var/tmp /run /dev/shm | tail -n +2 | tr -d ' '"
        let sizes = try await output(of: script, limits: .init(memoryMegabytes: 64)).split(separator: "\n")
        #expect(sizes.count == 4 && sizes.allSatisfy { $0 == "16777216" })
    }

    @Test
    func `internet has a network of its own`() async throws {
        let output = try await output(of: "cat /etc/resolv.conf; cut -d: -f1 /proc/net/dev", .isolatedWithInternet)
        #expect(output.contains("10.0.2.3"))
        #expect(output.contains("tap0"))
        #expect(try await !self.output(of: "cut -d: -f1 /proc/net/dev").contains("tap0"))
    }

    @Test(arguments: isolated)
    func `the number of processes is limited`(kind: ProviderKind) async throws {
        let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 2 & done; echo all"
        #expect(try await output(of: script, kind).contains("all"))
        let limited = try await output(of: script, kind, limits: .init(processes: 10))
        #expect(!limited.contains("all"))
    }

    @Test
    func `the memory is limited`() async throws {
        let script = "head -c 200000000 /dev/zero | tail | wc -c"
        #expect(try await output(of: script) == "200000000")
        #expect(try await output(of: script, limits: .init(memoryMegabytes: 64)) != "200000000")
    }

    @Test
    func `the size of files is limited`() async throws {
        let script = "head -c 3000000 /dev/zero >/.data/large; stat -c %s /.data/large"
        #expect(try await output(of: script).hasSuffix("3000000"))
        #expect(try await output(of: script, limits: .init(fileMegabytes: 1)).hasSuffix("1048576"))
    }
}

/// A port on all addresses of this machine.
private struct HostListener {
    let port: Int
    private let descriptor: Int32

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isBound else { throw POSIXError(.EADDRINUSE) }
        port = Int(UInt16(bigEndian: address.sin_port))
        let listener = descriptor
        Thread.detachNewThread {
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { return }
                _ = Glibc.close(client)
            }
        }
    }

    func close() {
        shutdown(descriptor, Int32(SHUT_RDWR))
        _ = Glibc.close(descriptor)
    }
}
