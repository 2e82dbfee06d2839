// SPDX-License-Identifier: Apache-2.0

import CLinux
import DiscobotAgentAPI
import DiscobotTunnel
import FoundationEssentials
import Glibc
import NIOCore
import Synchronization

/// A shell in a pseudo terminal, which goes on whether somebody looks at it or not.
final class Terminal: Sendable {
    struct State {
        var scrollback = Scrollback()
        var viewers: [Int: Viewer] = [:]
        var lastViewer = 0
        var size: TerminalSize
        /// Whether it is smaller than its viewers for a moment.
        var isShortened = false
        /// Nil while the shell runs.
        var exitCode: Int?
        var input = TerminalInputQueue()
        /// When a viewer took something last.
        var lastProgress = ContinuousClock.now
    }

    struct Viewer {
        var size: TerminalSize
        /// Up to where it has got the output.
        var position: Int
        /// Up to where the output is older than the viewer.
        let replayEnd: Int
        /// The modes before what the viewer gets first, until then.
        var modes: TerminalModes?
        let wakeUps: AsyncStream<Void>.Continuation
    }

    /// How far the quickest viewer may be behind before the shell has to wait.
    private static let backlog = 128 << 10
    /// How long the shell waits for viewers who take nothing.
    private static let patience: Duration = .seconds(1)
    /// A terminal shows no more than so much in a `pace`: nobody reads more, and it would cost others the processor.
    private static let burst = 64 << 10
    private static let pace: Duration = .milliseconds(8)

    /// Which shell this is, of all there ever were.
    let id = UUID().uuidString.lowercased()
    private let descriptor: Int32
    private let tunnel: ByteTunnel
    private let process: TerminalProcess
    private let state: Mutex<State>
    private let typed = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    /// Starts a shell. Throws `ServerError`.
    init(_ command: TerminalProcess.Command, size: TerminalSize, on eventLoop: any EventLoop) async throws {
        (process, descriptor) = try TerminalProcess.start(command, size: size)
        state = Mutex(State(size: size))
        do {
            tunnel = try await ByteTunnel.open(descriptor: dup(descriptor), on: eventLoop)
        } catch {
            process.kill()
            throw error
        }
    }

    deinit {
        close(descriptor)
    }

    var isRunning: Bool { exitCode == nil }

    /// Nil while the shell runs.
    var exitCode: Int? { state.withLock { $0.exitCode } }

    /// Carries bytes until the shell has ended, with all that it has started.
    func run() async {
        let exitCode = await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.write() }
            group.addTask {
                // What the shell has started may keep the terminal open.
                await self.process.waitForEnd()
                await self.waitForQuiet()
                self.tunnel.close()
            }
            await read()
            typed.continuation.finish()
            tunnel.close()
            return await process.end()
        }
        state.withLock { state in
            state.exitCode = exitCode
            for viewer in state.viewers.values { viewer.wakeUps.yield() }
        }
    }

    /// Asks the shell to end, as closing a window does.
    func hangUp() {
        tunnel.close()
    }

    // MARK: Output

    private func read() async {
        var amount = 0
        var began = ContinuousClock.now
        // A terminal without programs breaks off instead of ending.
        while let bytes = try? await tunnel.read() {
            state.withLock { state in
                state.scrollback.append(bytes.readableBytesView)
                for viewer in state.viewers.values { viewer.wakeUps.yield() }
            }
            amount += bytes.readableBytes
            await waitForViewers()
            guard amount >= Self.burst else { continue }
            try? await Task.sleep(until: began + Self.pace)
            amount = 0
            began = .now
        }
    }

    /// Returns when nothing is shown any more, or only what never stops.
    private func waitForQuiet() async {
        var end = -1
        for _ in 0..<20 where end != state.withLock({ $0.scrollback.end }) {
            end = state.withLock { $0.scrollback.end }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    private func waitForViewers() async {
        while state.withLock({ $0.isAhead(of: Self.backlog, patience: Self.patience) }) {
            try? await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Begins to look at the terminal.
    func attach(_ size: TerminalSize) -> (viewer: Int, wakeUps: AsyncStream<Void>) {
        let (wakeUps, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        continuation.yield()
        let viewer = state.withLock { state in
            state.lastViewer += 1
            state.viewers[state.lastViewer] = Viewer(
                size: size,
                position: state.scrollback.start,
                replayEnd: state.scrollback.end,
                modes: state.scrollback.modes(before: state.scrollback.start),
                wakeUps: continuation
            )
            fit(&state)
            return state.lastViewer
        }
        return (viewer, wakeUps)
    }

    func detach(_ viewer: Int) {
        state.withLock { state in
            state.viewers.removeValue(forKey: viewer)?.wakeUps.finish()
            fit(&state)
        }
    }

    /// Some output on its way to a viewer.
    struct Piece {
        var text: ArraySlice<UInt8> = []
        /// Whether the viewer was too slow, and something is left out before.
        var isBroken = false
        /// Sets the modes that it was shown in, where something is left out before.
        var modes = ""
        /// Whether all of it is older than the viewer.
        var isReplay = false
        /// Whether the viewer answers the program's questions, which only one may: who has looked for the longest time.
        var isForAnswering = false
    }

    /// What a viewer gets next.
    func next(for viewer: Int, limit: Int) -> Piece {
        state.withLock { state in
            guard let known = state.viewers[viewer] else { return Piece() }
            let isBroken = known.position < state.scrollback.start
            let position = isBroken ? state.scrollback.resumption(backlog: Self.backlog / 2) : known.position
            let isComplete = state.exitCode != nil
            let old = min(limit, max(0, known.replayEnd - position))
            let modes = isBroken ? state.scrollback.modes(before: position) : known.modes
            var piece = Piece(
                isBroken: isBroken,
                modes: modes?.restoration ?? "",
                isReplay: true,
                isForAnswering: state.viewers.keys.min() == viewer
            )
            piece.text = state.scrollback.piece(from: position, limit: old, isComplete: isComplete)
            if piece.text.isEmpty {
                // A character may end behind what is old.
                piece.text = state.scrollback.piece(from: position, limit: limit, isComplete: isComplete)
                piece.isReplay = false
            }
            if !piece.text.isEmpty { state.viewers[viewer]?.modes = nil }
            state.viewers[viewer]?.position = position + piece.text.count
            state.lastProgress = .now
            return piece
        }
    }

    /// Nil while the shell runs, or a viewer has not got everything.
    func exitCode(for viewer: Int) -> Int? {
        state.withLock { state in
            state.viewers[viewer]?.position == state.scrollback.end ? state.exitCode : nil
        }
    }

    /// The end of the output.
    func tail(_ limit: Int) -> String {
        state.withLock { state in
            let start = state.scrollback.resumption(backlog: limit)
            return String(
                decoding: state.scrollback.piece(from: start, limit: limit, isComplete: true),
                as: UTF8.self
            )
        }
    }

    // MARK: Size

    func resize(_ viewer: Int, _ size: TerminalSize) {
        state.withLock { state in
            state.viewers[viewer]?.size = size
            fit(&state)
        }
    }

    /// Makes the terminal as large as the smallest of its viewers, so that each sees all of it.
    private func fit(_ state: inout State) {
        let sizes = state.viewers.values.map(\.size)
        guard let first = sizes.first else { return }
        var size = sizes.dropFirst().reduce(first) { TerminalSize(smallerOf: $0, $1) }
        if state.isShortened { size = size.shortened }
        guard size != state.size else { return }
        state.size = size
        _ = clinux_resize_terminal(descriptor, UInt16(size.rows), UInt16(size.cols))
    }

    /// Whether a viewer who begins to look now sees less than the screen of the program that fills it.
    var isScreenLost: Bool {
        state.withLock { state in
            state.scrollback.start > 0 && state.scrollback.modes(before: state.scrollback.end).hasOtherScreen
        }
    }

    /// Has the program draw its screen again, as programs do when the size changes.
    func redraw() async {
        shorten(true)
        // As long as a program needs to see it.
        try? await Task.sleep(for: .milliseconds(100))
        shorten(false)
    }

    private func shorten(_ isShortened: Bool) {
        state.withLock { state in
            state.isShortened = isShortened
            fit(&state)
        }
    }

    // MARK: Input

    /// Types; waits while the program does not read. False when it has not for so long that what was typed is dropped.
    func type(_ text: String) async throws -> Bool {
        let bytes = Array(text.utf8)
        let descriptor = descriptor
        while true {
            let result = state.withLock { state in
                state.input.append(bytes) { clinux_flush_terminal_input(descriptor, $0) != 0 }
            }
            switch result {
            case .taken:
                typed.continuation.yield()
                return true
            case .dropped: return false
            case .full: try await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    private func write() async {
        for await _ in typed.stream {
            while let chunk = state.withLock({ $0.input.next() }) {
                if let stop = chunk.stop { _ = clinux_flush_terminal_input(descriptor, stop) }
                guard (try? await tunnel.write(ByteBuffer(bytes: chunk.bytes))) != nil else { return }
                state.withLock { $0.input.written() }
            }
        }
    }
}

extension Terminal.State {
    /// Whether the quickest viewer, if it takes anything, has to be waited for.
    fileprivate func isAhead(of backlog: Int, patience: Duration) -> Bool {
        guard let quickest = viewers.values.map(\.position).max(), scrollback.end - quickest > backlog else {
            return false
        }
        return ContinuousClock.now - lastProgress < patience
    }
}
