// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import HTTPTypes
import Hummingbird

// What was said: as messages, or as a stream of chunks.
extension ChatRoutes {
    func get(_ request: Request, _ context: AppRequestContext) async throws -> Response {
        guard request.headers[.accept]?.contains("text/event-stream") == true else {
            return try .json(MessagesResponse(messages: try journal.messages()))
        }
        guard let file = try await file(request) else { return Response(status: .noContent) }
        let last = request.headers[.lastEventID].flatMap { ChunkID($0) }
        let sequence = last?.completion == file.completion ? last?.sequence ?? 0 : 0
        return EventStream.response(to: request, on: context.channel) { stream, end in
            var reader = try JournalReader(file, after: sequence)
            defer { reader.close() }
            let (wakeUps, stop) = file.wakeUps()
            defer { stop() }
            end.whenReached(stop)
            try await send(&reader, file, wakeUps, to: &stream)
        }
    }

    /// The completion that is asked for; nil when it is the running one and nothing runs.
    private func file(_ request: Request) async throws -> JournalFile? {
        guard let completion = request.query("completionId") else { return await conversation.current }
        guard let file = journal.file(completion) else { throw ServerError.notFound("unknown completion") }
        return file
    }

    /// Reads from the file and nowhere else, so that nothing piles up for a client that reads slowly.
    @concurrent
    private func send(
        _ reader: inout JournalReader,
        _ file: JournalFile,
        _ wakeUps: AsyncStream<JournalFile.WakeUp>,
        to stream: inout EventStream
    ) async throws {
        for await wakeUp in wakeUps {
            // Asked before reading: what is written after it will be announced again.
            let isEnded = file.extent.isEnded
            var frames = try reader.next()
            if frames.isEmpty, wakeUp == .keepAlive { try await stream.write(ServerSentEvent.comment) }
            while !frames.isEmpty {
                try await stream.write(frames)
                frames = try reader.next()
            }
            if isEnded { return try await stream.write(ServerSentEvent(data: "[DONE]").bytes) }
        }
    }

    private struct MessagesResponse: Encodable {
        let messages: [UIMessage]
    }
}
