// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DiscobotHTTP
import DiscobotModel
import DiscobotStore
import Foundation
import Glibc
import Logging
import ServiceLifecycle
import UnixSignals

/// The command line.
@main
struct DiscobotServer: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "discobot-server",
        abstract: "A self-hosted control plane for coding agents.",
        discussion: "Settings come from environment variables and a .env file; the README lists them.",
        version: version,
        subcommands: [Serve.self, Doctor.self],
        defaultSubcommand: Serve.self
    )
}

/// Runs the server until it is told to stop.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run the server (the default).")

    func run() async throws {
        try await exitingWithMessage {
            raiseLimitOfOpenFiles()
            let options = try ServerOptions(try await EnvironmentReader(file: ".env"))
            LoggingSystem.bootstrap { EscapingLogHandler(StreamLogHandler.standardError(label: $0)) }
            var logger = Logger(label: "discobot")
            logger.logLevel = options.logLevel
            let server = try await Server.build(options, logger: logger)
            var configuration = ServiceGroupConfiguration(
                named: server.services,
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger
            )
            // Longer than jobs may drain; what still goes on then, such as a slow download, is cut off.
            configuration.maximumGracefulShutdownDuration = .seconds(20)
            let result: Result<Void, any Error>
            do {
                result = .success(try await ServiceGroup(configuration: configuration).run())
            } catch is CancellationError {
                result = .success(())
            } catch {
                result = .failure(error)
            }
            await server.store.close()
            try result.get()
        }
    }
}

/// Tells what is missing on this machine.
struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Check what the server needs, and say how to mend it.")

    func run() async throws {
        try await exitingWithMessage {
            let options = try ServerOptions(try await EnvironmentReader(file: ".env"))
            let findings = await DoctorFinding.all(options)
            for finding in findings { write(finding.line, to: .standardOutput) }
            if findings.contains(where: \.isFatal) { throw ExitCode.failure }
        }
    }
}

/// Each client and each sandbox needs a few, and most systems allow a process 1,024 unless it asks for more.
private func raiseLimitOfOpenFiles() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    // Programs that close all that they might have open take long where that is a billion.
    limit.rlim_cur = max(limit.rlim_cur, min(limit.rlim_max, 1 << 16))
    // Without it, the server does with what it has.
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}

/// A wrong setting or an unusable database is for the user: one line and exit code 1, without internals.
private func exitingWithMessage(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let error as ServerError {
        write("error: \(error.message)", to: .standardError)
        throw ExitCode.failure
    }
}

private func write(_ line: String, to file: FileHandle) {
    file.write(Data((line + "\n").utf8))
}
