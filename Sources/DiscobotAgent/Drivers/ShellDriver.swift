// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
import DiscobotModel
import Glibc
import SystemPackage

/// Runs the user's message as a shell script in the working copy: an agent without a model.
package struct ShellDriver: AgentDriver {
    /// How much a script may print in a turn.
    static let outputLimit = 32 << 20
    /// How much of it the result of the tool repeats.
    static let resultLimit = 64 << 10

    private let strays: StrayProcesses

    package init(strays: StrayProcesses) {
        self.strays = strays
    }

    package var models: [AgentModel] { [] }

    package func run(_ turn: DriverTurn, _ output: DriverOutput) async throws {
        let script = turn.message.text
        let tool = "\(turn.messageID)-bash"
        try await output.send(.toolInputStart(toolCallId: tool, toolName: "bash"))
        try await output.send(
            .toolInputAvailable(toolCallId: tool, toolName: "bash", input: ["command": .string(script)])
        )
        var text = ShellOutput(partID: "text-\(turn.messageID)")
        do {
            let exitCode = try await run(script, turn, &text, output)
            try await text.finish(output)
            let result: JSONValue = ["exitCode": .number(Int64(exitCode)), "output": .string(text.tail)]
            try await output.send(.toolOutputAvailable(toolCallId: tool, output: result))
        } catch is OutputLimitReached {
            try await text.finish(output)
            let limit = "output limit: the script printed more than \(Self.outputLimit >> 20) MiB and was ended"
            try await output.send(.toolOutputError(toolCallId: tool, errorText: limit))
        }
    }

    private struct OutputLimitReached: Error {}

    private func run(
        _ script: String,
        _ turn: DriverTurn,
        _ text: inout ShellOutput,
        _ output: DriverOutput
    ) async throws -> Int {
        let file = Self.file(in: turn.stateDirectory)
        try write(script, to: file)
        defer { unlink(file) }
        var command = AgentProcess.Command(
            arguments: [Self.shell, file],
            environment: turn.environment,
            workingDirectory: turn.workingDirectory
        )
        command.mergesErrors = true
        var printed = text
        defer { text = printed }
        let outcome = try await AgentProcess.run(command, strays: strays) { process in
            await process.finishInput()
            for try await bytes in process.chunks {
                let rest = Self.outputLimit - printed.count
                try await printed.append(bytes.prefix(rest), output)
                guard bytes.count <= rest else { throw OutputLimitReached() }
            }
        }
        return outcome.exitCode
    }

    private static var shell: String {
        access("/bin/bash", X_OK) == 0 || access("/usr/bin/bash", X_OK) == 0 ? "bash" : "sh"
    }

    package func removeLeftovers(stateDirectory: String) {
        unlink(Self.file(in: stateDirectory))
    }

    private static func file(in stateDirectory: String) -> String { "\(stateDirectory)/script" }

    private func write(_ script: String, to path: String) throws {
        unlink(path)
        do {
            let file = try FileDescriptor.open(
                FilePath(path),
                .writeOnly,
                options: [.create, .exclusiveCreate, .closeOnExec],
                permissions: .ownerReadWrite
            )
            try file.closeAfter { _ = try file.writeAll(script.utf8) }
        } catch {
            throw DriverError("the script could not be written: \(error)")
        }
    }
}

/// What a script prints, on its way into deltas.
private struct ShellOutput {
    private let partID: String
    private(set) var count = 0
    private var decoder = UTF8Stream()
    private var isOpen = false
    private var last: [UInt8] = []

    init(partID: String) {
        self.partID = partID
    }

    /// The end of the output.
    var tail: String {
        // A character that was cut in two is left out.
        let whole = last.suffix(ShellDriver.resultLimit).drop { count > ShellDriver.resultLimit && $0 & 0xC0 == 0x80 }
        return String(decoding: whole, as: UTF8.self)
    }

    mutating func append(_ bytes: ArraySlice<UInt8>, _ output: DriverOutput) async throws {
        count += bytes.count
        last += bytes
        if last.count > 4 * ShellDriver.resultLimit { last.removeFirst(last.count - ShellDriver.resultLimit) }
        try await send(decoder.decode(bytes), output)
    }

    mutating func finish(_ output: DriverOutput) async throws {
        try await send(decoder.finish(), output)
        if isOpen { try await output.send(.textEnd(id: partID)) }
        isOpen = false
    }

    private mutating func send(_ text: String, _ output: DriverOutput) async throws {
        guard !text.isEmpty else { return }
        if !isOpen { try await output.send(.textStart(id: partID)) }
        isOpen = true
        try await output.send(.textDelta(id: partID, delta: text))
    }
}
