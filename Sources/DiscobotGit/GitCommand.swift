// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Glibc
import Subprocess
package import SystemPackage

/// Runs git, and is the only place that does.
///
/// Each process leads its own session. When a call throws for whatever reason (cancellation, time-out, too much
/// output, an unexpected exit code) the whole process group is ended and the child is reaped first.
package struct GitCommand: Sendable {
    package let directory: String?
    package let environment: GitEnvironment
    /// How many bytes of memory of its own a process may have; nil is as many as the machine gives.
    private let memoryLimit: UInt?

    /// Runs in `directory`, or in the server's own directory for commands that need no repository.
    package init(directory: String?, environment: GitEnvironment = GitEnvironment(), memoryLimit: UInt? = nil) {
        self.directory = directory
        self.environment = environment
        self.memoryLimit = memoryLimit
    }

    /// The same, whose processes fail with `.tooLarge` when they need more memory.
    func limited(toMemory limit: UInt) -> GitCommand {
        GitCommand(directory: directory, environment: environment, memoryLimit: limit)
    }

    /// Runs `git <arguments>` and collects at most `outputLimit` bytes of standard output.
    /// `input` becomes standard input, `variables` are added to the environment.
    /// Throws ``GitError``, or `CancellationError` when the task is cancelled.
    package func run(
        _ arguments: [String],
        input: [UInt8] = [],
        files: Files = Files(),
        variables: [String: String] = [:],
        timeout: Duration = .seconds(60),
        outputLimit: Int = 32 << 20,
        acceptedExitCodes: Set<Int32> = [0]
    ) async throws -> GitOutput {
        try await run(
            Request(
                arguments: arguments,
                input: input,
                files: files,
                variables: variables,
                outputLimit: outputLimit,
                acceptedExitCodes: acceptedExitCodes
            ),
            timeout: timeout
        )
    }

    /// Where a run's bytes come from and go to, other than memory.
    package struct Files: Sendable {
        /// A file that becomes standard input.
        package var input: String?
        /// Takes standard output, as far as the limit.
        package var output: FileDescriptor?
        /// Whether git is ended at the limit of its output, and what it has printed counts; otherwise that is an error.
        package var isOutputCut = false

        package init(input: String? = nil, output: FileDescriptor? = nil, isOutputCut: Bool = false) {
            self.input = input
            self.output = output
            self.isOutputCut = isOutputCut
        }
    }

    /// Runs `git <arguments>` and hands each line of standard error to `onErrorLine` while it runs, in order.
    /// Carriage returns end a line too, as in git's progress.
    package func stream(
        _ arguments: [String],
        variables: [String: String] = [:],
        timeout: Duration,
        onErrorLine: @escaping @Sendable (String) -> Void
    ) async throws {
        _ = try await run(
            Request(arguments: arguments, variables: variables, onErrorLine: onErrorLine),
            timeout: timeout
        )
    }

    private func run(_ request: Request, timeout: Duration) async throws -> GitOutput {
        guard !request.arguments.contains(where: { $0.utf8.contains(0) }) else {
            throw GitError(.invalidArgument, "a git argument contains a NUL character")
        }
        return try await withThrowingTaskGroup(of: GitOutput?.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await launch(request) }
            group.addTask {
                try await Task.sleep(upTo: timeout)
                return nil
            }
            guard let output = try await group.next() ?? nil else {
                throw GitError(.timedOut, "git \(request.name) took longer than \(timeout)")
            }
            return output
        }
    }

    private func launch(_ request: Request) async throws -> GitOutput {
        try Task.checkCancellation()
        let input = try InputFile(request.input, path: request.files.input)
        defer { input.close() }
        do {
            let result = try await Subprocess.run(
                configuration(for: request),
                input: .fileDescriptor(input.descriptor, closeAfterSpawningProcess: false),
                output: .sequence,
                error: .sequence
            ) { execution in
                try await collect(execution, request)
            }
            return try check(result.closureResult, result.terminationStatus, result.processIdentifier.value, request)
        } catch let error as SubprocessError {
            // A cancelled process may also look like a broken one.
            try Task.checkCancellation()
            throw GitError(command: request.name, directory: directory, cause: error)
        }
    }

    private func configuration(for request: Request) -> Configuration {
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = Self.politely
        let overrides = GitEnvironment.configuration.flatMap { ["-c", $0] }
        let (executable, first) = program
        return Configuration(
            executable: executable,
            arguments: Arguments(first + overrides + request.arguments),
            environment: .custom(variables(for: request)),
            workingDirectory: directory.map { FilePath($0) },
            platformOptions: options
        )
    }

    /// Git, and what comes before its arguments. Only a process itself can limit its memory before it takes any; a limit
    /// that is lower already stays. Files that are mapped do not count.
    private var program: (Executable, [String]) {
        guard let memoryLimit else { return (environment.executable, []) }
        let script = "ulimit -d \(memoryLimit >> 10) 2>/dev/null; exec \"$0\" \"$@\""
        return (.path("/bin/sh"), ["-c", script, environment.git])
    }

    private func variables(for request: Request) -> [Environment.Key: String] {
        var variables = environment.variables.merging(request.variables) { _, own in own }
        // A working copy that lost its .git must not make git act on a repository that encloses it.
        if let directory, !directory.contains(":") {
            variables["GIT_CEILING_DIRECTORIES"] = FilePath(directory).removingLastComponent().string
        }
        return Dictionary(
            variables.compactMap { name, value in Environment.Key(rawValue: name).map { ($0, value) } },
            uniquingKeysWith: { _, last in last }
        )
    }

    private func check(
        _ collected: Collected,
        _ status: TerminationStatus,
        _ process: pid_t,
        _ request: Request
    ) throws -> GitOutput {
        if collected.isCut { return GitOutput(bytes: collected.output, exitCode: 0, isCut: true) }
        if case .exited(let code) = status, request.acceptedExitCodes.contains(code) {
            return GitOutput(bytes: collected.output, exitCode: code, errorText: collected.errorText)
        }
        // The leader is reaped, but its number stays taken while its group has a member, and an empty group is
        // not there to be hit: numbers are handed out in a cycle.
        Self.killGroup(of: process)
        if let memoryLimit, collected.errorText.contains("ut of memory") {
            throw GitError(.tooLarge, "git \(request.name) needs more than \(memoryLimit >> 20) MiB of memory for this")
        }
        switch status {
        case .exited(let code):
            throw GitError(command: request.name, exitCode: code, standardError: collected.errorText)
        case .signaled(let signal):
            throw GitError(.failed, "git \(request.name) was ended by signal \(signal)")
        }
    }

    /// To the group, since git's children hold locks too. Git removes its lock files when it is asked to end; what has
    /// not ended after this time is killed.
    static let politely: [TeardownStep] = [
        .send(signal: .terminate, toProcessGroup: true, allowedDurationToNextStep: .seconds(5))
    ]

    static func killGroup(of process: pid_t) {
        _ = Glibc.kill(-process, SIGKILL)
    }
}

/// What a successful git process wrote to standard output.
package struct GitOutput: Equatable, Sendable {
    package let bytes: [UInt8]
    package let exitCode: Int32
    /// Whether git had more to print than it was allowed to.
    package var isCut = false
    /// The last lines of standard error.
    var errorText = ""

    /// The bytes as text; what is not UTF-8 becomes U+FFFD.
    package var text: String { String(decoding: bytes, as: UTF8.self) }
    /// The text without the line break at its end.
    package var line: String { text.trimmed }
}
