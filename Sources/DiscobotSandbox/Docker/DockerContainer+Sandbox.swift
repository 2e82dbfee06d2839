// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

extension DockerContainer {
    var isRunning: Bool { state.status == "running" }
    var isPaused: Bool { state.status == "paused" }
    var isAlive: Bool { isRunning || isPaused }
    var hasEnded: Bool { state.status == "exited" || state.status == "dead" }
    /// Where this machine reaches the agent API, if it is by a port.
    var publishedPort: Int? {
        network?.ports?[DockerPassage.portName]??.compactMap { Int($0.port) }.first
    }
    private var hasStarted: Bool { Self.time(state.startedAt) != nil }

    /// - Parameter wasAsked: whether it was told to stop, after which any end is a proper one.
    func status(wasAsked: Bool) -> Sandbox.Status {
        switch state.status {
        case "running": return .running
        // Somebody has frozen it, so it answers nobody.
        case "paused": return .stopped
        case "dead": return .failed
        default: break
        }
        if !hasStarted { return state.exitCode == 0 ? .created : .failed }
        return wasAsked || hasEndedInOrder ? .stopped : .failed
    }

    private var hasEndedInOrder: Bool {
        (OrderlyExit(rawValue: state.exitCode) != nil || hasEndedWithEngine)
            && !ranOutOfMemory && (state.error ?? "").isEmpty
    }

    /// Engines that begin after a power cut give this code to those that ran.
    private var hasEndedWithEngine: Bool { state.exitCode == 255 }

    /// Without a fatal signal that was some other process, which the runtime outlived.
    private var ranOutOfMemory: Bool { state.isOutOfMemory && state.exitCode == 137 }

    /// What has happened to one that failed.
    ///
    /// - Parameter log: its last lines.
    func failure(log: String) -> String {
        if ranOutOfMemory { return "ran out of memory" }
        if let error = state.error, !error.isEmpty { return error }
        if state.status == "dead" { return "the Docker Engine could not remove it" }
        // What the loader says then sounds as if the program were not there.
        let hint = state.exitCode == 127 ? " (the image needs glibc and libstdc++)" : ""
        return "exited with code \(state.exitCode)\(hint)" + LocalSandboxRecord.tail(log)
    }

    /// How one that is stopped has ended.
    private var end: String? {
        if isPaused { return "was paused by somebody" }
        if hasEndedWithEngine { return "has ended with the engine" }
        return OrderlyExit(rawValue: state.exitCode)?.reason
    }

    func sandbox(of session: ID<Session>, wasAsked: Bool, failure: String?) -> Sandbox {
        let status = status(wasAsked: wasAsked)
        let isOver = status == .stopped || status == .failed
        return Sandbox(
            sessionID: session,
            projectID: ID(rawValue: label(DockerLabel.project) ?? ""),
            status: status,
            image: label(DockerLabel.image) ?? settings.image,
            createdAt: Self.time(created) ?? Timestamp(milliseconds: 0),
            startedAt: Self.time(state.startedAt),
            stoppedAt: isOver ? Self.time(state.finishedAt) : nil,
            error: failure,
            end: status == .stopped && !wasAsked ? end : nil
        )
    }

    /// Engines tell nanoseconds, and the year 1 for what has not been.
    private static func time(_ text: String?) -> Timestamp? {
        guard let text, !text.hasPrefix("0001-") else { return nil }
        guard let dot = text.firstIndex(of: ".") else { return Timestamp(rfc3339: text) }
        let fraction = text[text.index(after: dot)...].prefix { $0.isNumber }
        let zone = text[fraction.endIndex...]
        return Timestamp(rfc3339: text[..<dot] + "." + (fraction + "000").prefix(3) + zone)
    }
}
