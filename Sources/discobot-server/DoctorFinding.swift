// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
import DiscobotSandbox
import Foundation
import GRDB

/// One thing that the server needs or can use, and how this machine stands to it.
struct DoctorFinding {
    private enum Verdict: String {
        case ok = "ok     "
        case warning = "warning"
        case error = "error  "
    }

    private let verdict: Verdict
    private let subject: String
    private let detail: String

    var line: String { "\(verdict.rawValue)  \(subject): \(detail)" }
    var isFatal: Bool { verdict == .error }

    static func all(_ options: ServerOptions) async -> [DoctorFinding] {
        var findings = [await git(), sqlite()]
        findings += await providers(options)
        findings += await localProvider(options)
        findings.append(port(options))
        if let warning = options.exposureWarning {
            findings.append(DoctorFinding(verdict: .warning, subject: "HOST", detail: warning))
        }
        let database = (options.databasePath as NSString).deletingLastPathComponent
        findings.append(directory(database, for: "database"))
        findings.append(directory(options.workspaceDirectory, for: "workspaces"))
        return findings
    }

    private static func git() async -> DoctorFinding {
        do {
            return DoctorFinding(verdict: .ok, subject: "git", detail: try await GitCommand.version())
        } catch {
            return DoctorFinding(verdict: .error, subject: "git", detail: "\(error) (Debian: apt-get install git)")
        }
    }

    private static func sqlite() -> DoctorFinding {
        guard let version = try? DatabaseQueue().read({ try String.fetchOne($0, sql: "SELECT sqlite_version()") })
        else {
            return DoctorFinding(
                verdict: .error,
                subject: "SQLite",
                detail: "does not work; reinstall it (Debian: apt-get install --reinstall libsqlite3-0)"
            )
        }
        return DoctorFinding(verdict: .ok, subject: "SQLite", detail: version)
    }

    /// One provider is enough to run sessions.
    private static func providers(_ options: ServerOptions) async -> [DoctorFinding] {
        let providers = Server.makeProviders(options)
        var findings: [DoctorFinding] = []
        for (name, state) in await providers.states() {
            let subject = name == "local" ? "bubblewrap (provider local)" : "Docker (provider docker)"
            let docker = try? providers.provider(named: name) as? DockerSandboxProvider
            let exposure = state.problem == nil ? await docker?.exposure() : nil
            let problem = (state.problem ?? exposure).map { "\($0.reason). \($0.remedy)" }
            findings.append(
                DoctorFinding(
                    verdict: problem == nil ? .ok : .warning,
                    subject: subject,
                    detail: problem ?? state.version ?? "available"
                )
            )
        }
        return findings
    }

    /// What sandboxes of the provider local need besides.
    private static func localProvider(_ options: ServerOptions) async -> [DoctorFinding] {
        guard options.isLocalProviderEnabled else { return [] }
        let local = LocalSandboxProvider(options.local)
        let needs = [
            ("discobot-agent (provider local)", local.agentProblem, options.local.agentBinary),
            (
                "internet for sandboxes (provider local)", await LocalSandboxProvider.networkProblem(),
                "slirp4netns and /dev/net/tun"
            ),
        ]
        return needs.map { subject, problem, detail in
            DoctorFinding(
                verdict: problem == nil ? .ok : .warning,
                subject: subject,
                detail: problem.map { "\($0.reason). \($0.remedy)" } ?? detail
            )
        }
    }

    private static func port(_ options: ServerOptions) -> DoctorFinding {
        let subject = "port \(options.port) on \(options.host)"
        guard isFree(options) else {
            return DoctorFinding(
                verdict: .error,
                subject: subject,
                detail: "cannot be used; stop what uses it or set HOST and PORT"
            )
        }
        return DoctorFinding(verdict: .ok, subject: subject, detail: "free")
    }

    private static func isFree(_ options: ServerOptions) -> Bool {
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(options.host, String(options.port), &hints, &found) == 0, let address = found?.pointee else {
            return false
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(address.ai_family, address.ai_socktype, address.ai_protocol)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        // As the server does, so that connections that are just ending do not count.
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        return bind(descriptor, address.ai_addr, address.ai_addrlen) == 0
    }

    /// Whether the directory, or the nearest one above it that exists, can be written.
    private static func directory(_ path: String, for purpose: String) -> DoctorFinding {
        let subject = "directory for \(purpose), \(path)"
        var existing = path
        while !FileManager.default.fileExists(atPath: existing), existing != "/", !existing.isEmpty {
            existing = (existing as NSString).deletingLastPathComponent
        }
        guard access(existing, W_OK) == 0 else {
            return DoctorFinding(
                verdict: .error,
                subject: subject,
                detail: "\(existing) cannot be written; change who owns it, or set DATABASE_DSN and WORKSPACE_DIR"
            )
        }
        return DoctorFinding(verdict: .ok, subject: subject, detail: "can be written")
    }
}
