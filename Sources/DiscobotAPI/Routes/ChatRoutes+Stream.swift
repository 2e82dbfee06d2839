// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import DiscobotServices
import HTTPTypes
import Hummingbird

extension ChatRoutes {
    /// The chunks of a turn after a position, up to its end; whoever loses the connection comes back with the last id.
    func stream(_ position: ChunkID, to request: APIRequest) -> Response {
        EventStream.response(to: request.raw, on: request.channel, headers: Self.protocolHeader) { stream, end in
            let subscription = chat.follow(ID(rawValue: position.completion))
            defer { chat.unfollow(subscription) }
            end.whenReached { subscription.finish() }
            try await send(subscription, after: position.sequence, to: &stream)
        }
    }

    /// A stopping server ends streams without saying that the answer is over, so that clients come back.
    @concurrent
    private func send(
        _ subscription: TurnSubscription,
        after sequence: Int,
        to stream: inout EventStream
    ) async throws {
        var position = sequence
        for await _ in subscription {
            let before = position
            var next: TurnChunks
            repeat {
                next = try await chat.chunks(of: subscription.turn, after: position)
                if let last = next.batches.last?.last {
                    try await stream.write(next.batches.frames(of: subscription.turn, after: position))
                    position = last
                }
            } while next.outlook == .more
            if next.outlook == .end { return try await stream.write(Self.done) }
            if position == before { try await stream.write(ServerSentEvent.comment) }
        }
    }

    private static let done = ServerSentEvent(data: "[DONE]").bytes

    /// Names the protocol of the chunks.
    private static let protocolHeader: HTTPFields = {
        guard let name = HTTPField.Name("x-vercel-ai-ui-message-stream") else { return [:] }
        return [name: "v1"]
    }()
}

extension [ChunkBatch] {
    /// The chunks with larger numbers than `sequence`, each as a frame with its id.
    func frames(of turn: ID<Turn>, after sequence: Int) -> [UInt8] {
        let prefix = [UInt8]("id: \(turn):".utf8)
        let data = [UInt8]("\ndata: ".utf8)
        let end = [UInt8]("\n\n".utf8)
        var bytes: [UInt8] = []
        for batch in self {
            let count: Int = batch.last - batch.first + 1
            bytes.reserveCapacity(bytes.count + batch.lines.utf8.count + count * (prefix.count + 20))
            var number = batch.first
            for line in batch.lines.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
                defer { number += 1 }
                guard number > sequence else { continue }
                bytes.append(contentsOf: prefix)
                bytes.append(contentsOf: String(number).utf8)
                bytes.append(contentsOf: data)
                bytes.append(contentsOf: line)
                bytes.append(contentsOf: end)
            }
        }
        return bytes
    }
}
