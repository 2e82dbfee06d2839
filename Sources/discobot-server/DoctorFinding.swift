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
        findings.append(port(options))
        let database = (options.databasePath as NSString).deletingLastPathComponent
        findings.append(directory(database, for: "database"))
        findings.append(directory(options.workspaceDirectory, for: "workspaces"))
        return findings
    }

    private static func git() async -> DoctorFinding {
        guard let version = await GitCommand.version() else {
            return DoctorFinding(
                verdict: .error,
                subject: "git",
                detail: "not found; install it (Debian: apt-get install git)"
            )
        }
        return DoctorFinding(verdict: .ok, subject: "git", detail: version)
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
        await Server.makeProviders(options).states().map { name, state in
            let subject = name == "local" ? "bubblewrap (provider local)" : "Docker (provider docker)"
            guard let problem = state.problem else {
                return DoctorFinding(verdict: .ok, subject: subject, detail: state.version ?? "available")
            }
            return DoctorFinding(
                verdict: .warning,
                subject: subject,
                detail: "\(problem.reason). \(problem.remedy)"
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
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(options.port).bigEndian
        address.sin_addr.s_addr = inet_addr(options.host == "localhost" ? "127.0.0.1" : options.host)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
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
