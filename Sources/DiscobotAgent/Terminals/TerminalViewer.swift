// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import DiscobotTunnel
import FoundationEssentials
import NIOCore

/// Somebody who looks at a terminal and types.
struct TerminalViewer: Sendable {
    private static let pieceSize = 32 << 10
    /// Ends what was shown before in whatever state it left the screen.
    private static let reset = "\u{1B}c"
    /// Ends a sequence that has lost its end, and colours.
    private static let gap = "\u{18}\u{1B}[0m\r\n[some output was left out]\r\n"

    let terminal: Terminal
    let socket: WebSocket
    let size: TerminalSize
    /// Whether the shell has begun for this viewer.
    let isFirst: Bool

    @concurrent
    func run() async throws {
        let (viewer, wakeUps) = terminal.attach(size)
        defer { terminal.detach(viewer) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await show(viewer, wakeUps) }
            if !isFirst, terminal.isScreenLost { group.addTask { await terminal.redraw() } }
            try await read(viewer)
            group.cancelAll()
        }
    }

    private func show(_ viewer: Int, _ wakeUps: AsyncStream<Void>) async throws {
        var prefix = isFirst ? "" : Self.reset
        var questions = QuestionFilter()
        for await _ in wakeUps {
            var next = terminal.next(for: viewer, limit: Self.pieceSize)
            while !next.text.isEmpty {
                if next.isBroken { questions = QuestionFilter() }
                // The first viewer is there when a program asks, however old its question.
                let isOld = next.isReplay && !isFirst
                let shown = questions.pass(next.text, isForAnswering: !isOld && next.isForAnswering)
                let text = (next.isBroken ? Self.gap : prefix) + next.modes + String(decoding: shown, as: UTF8.self)
                prefix = ""
                // The connection is gone: whoever reads from it finds out as well.
                do { if !text.isEmpty { try await send(.output(text)) } } catch { return }
                next = terminal.next(for: viewer, limit: Self.pieceSize)
            }
            if let exitCode = terminal.exitCode(for: viewer) {
                return socket.close(WebSocketClose(TerminalEnd.shellExited + exitCode, TerminalEnd.reason))
            }
        }
    }

    private func read(_ viewer: Int) async throws {
        while let message = try await socket.receive() {
            switch parse(message) {
            case .success(.input(let text)):
                if try await !terminal.type(text) {
                    try? await send(.error("the program does not read what is typed; it was dropped"))
                }
            case .success(.resize(let size)): terminal.resize(viewer, size)
            case .failure(let error):
                try? await send(.error(error.message))
                return socket.close(
                    message.kind == .binary
                        ? WebSocketClose(WebSocketClose.unsupportedData, error.message)
                        : WebSocketClose(WebSocketClose.policyViolation, error.message)
                )
            }
        }
    }

    private func parse(_ message: WebSocketMessage) -> Result<TerminalInput, ServerError> {
        guard message.kind == .text else { return .failure(.invalidArgument("messages are text")) }
        do {
            return .success(try JSONDecoder().decode(TerminalInput.self, from: Data(message.bytes.readableBytesView)))
        } catch let error as ServerError {
            return .failure(error)
        } catch {
            return .failure(.invalidArgument(#"messages are {"type":"input"|"resize","data":…}"#))
        }
    }

    private func send(_ output: TerminalOutput) async throws {
        try await socket.send(WebSocketMessage(.text, ByteBuffer(bytes: try JSONEncoding.bytes(of: output))))
    }
}
