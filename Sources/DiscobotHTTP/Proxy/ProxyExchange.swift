// SPDX-License-Identifier: Apache-2.0

import DiscobotTunnel
import HTTPTypes
import Hummingbird
import NIOCore
import ServiceLifecycle

/// A request on its way to a service, and the answer on its way back.
struct ProxyExchange: Sendable {
    /// How long a stopping server waits for what has an end.
    private static let shutdownPatience = TimeAmount.seconds(10)

    let request: Request
    let channel: any Channel
    let framing: ProxyFraming
    /// What the service is sent before the body.
    let head: ByteBuffer
    let headers: ProxyHeaders
    let patience: TimeAmount
    let closePatience: TimeAmount
    let watch: ClientWatch
    let place: IdleTunnels.Place?

    /// Nil when the service has closed a kept connection instead of answering, so that it may be asked once more.
    func response(over owner: TunnelOwner, isKept: Bool) async throws -> Response? {
        watch.watch(for: owner.tunnel)
        let upload = ProxyUpload(request.body, framing, after: head, to: owner, patience: patience)
        do {
            let (answer, reader) = try await answer(over: owner)
            if answer.contentLength == nil { upload.stopClock() } else { upload.restartClock() }
            guard answer.status == 101 else { return plain(answer, reader, upload) }
            guard request.upgrades.contains("websocket") else {
                throw ProxyError(.badAnswer, "the service speaks another protocol")
            }
            await upload.end()
            await watch.end()
            return webSocket(answer, reader)
        } catch {
            owner.tunnel.close()
            if watch.isGone || Task.isShuttingDownGracefully { await upload.breakOff() } else { await upload.end() }
            if upload.hasExpired { throw ProxyError(.timedOut, "the service does not answer in time") }
            let isWanted = !watch.isGone && !Task.isShuttingDownGracefully
            if isKept, isWanted, (error as? ProxyError)?.code == .noAnswer { return nil }
            throw error
        }
    }

    private func answer(over owner: TunnelOwner) async throws -> (AnswerParser.Head, ProxyReader) {
        try await withGracefulShutdownHandler {
            var reader = ProxyReader(owner: owner, parser: AnswerParser(isToHead: request.method == .head))
            return (try await reader.head(), reader)
        } onGracefulShutdown: {
            owner.tunnel.close(in: Self.shutdownPatience)
        }
    }

    private func webSocket(_ answer: AnswerParser.Head, _ reader: ProxyReader) -> Response {
        var fields = headers.response(answer.fields)
        fields[.upgrade] = "websocket"
        return .tunnel(on: channel, headers: fields) { client in
            if reader.parser.rest.readableBytes > 0 { try await client.write(reader.parser.rest) }
            await ByteTunnel.join(client, reader.owner.tunnel, patience: closePatience)
        }
    }

    private func plain(_ answer: AnswerParser.Head, _ reader: ProxyReader, _ upload: ProxyUpload) -> Response {
        var fields = headers.response(answer.fields)
        if let length = answer.contentLength { fields[.contentLength] = String(length) }
        return Response(
            status: HTTPResponse.Status(code: answer.status),
            headers: fields,
            body: ResponseBody(contentLength: nil) { writer in
                let owner = reader.owner
                let isReusable: Bool
                do {
                    isReusable = try await pass(reader, upload, isOpen: answer.contentLength == nil, to: &writer)
                } catch {
                    owner.tunnel.close()
                    await upload.breakOff()
                    await watch.end()
                    throw error
                }
                // Nothing of this exchange may close a connection that others use, or still be written to it.
                await watch.end()
                if let place, isReusable, !Task.isShuttingDownGracefully, await upload.end() {
                    place.keep(owner)
                } else {
                    owner.tunnel.close()
                }
                do {
                    try await writer.finish(nil)
                } catch {
                    await upload.breakOff()
                    throw error
                }
                // The client has the whole answer, and may still send what nobody has waited for.
                await upload.end()
            }
        )
    }

    /// Passes the body on; whether the connection may be used again.
    ///
    /// - Parameter isOpen: whether the answer goes on until the service says that it ends.
    private func pass(
        _ reader: ProxyReader,
        _ upload: ProxyUpload,
        isOpen: Bool,
        to writer: inout any ResponseBodyWriter
    ) async throws -> Bool {
        let tunnel = reader.owner.tunnel
        return try await withGracefulShutdownHandler {
            var reader = reader
            while let bytes = try await reader.body() {
                try await writer.write(bytes)
                if !isOpen { upload.restartClock() }
            }
            return reader.parser.isReusable
        } onGracefulShutdown: {
            // Others have an end that is worth waiting for.
            if isOpen { tunnel.close() } else { tunnel.close(in: Self.shutdownPatience) }
        }
    }
}

/// Reads a service's answer.
private struct ProxyReader: Sendable {
    let owner: TunnelOwner
    var parser: AnswerParser

    mutating func head() async throws -> AnswerParser.Head {
        while true {
            switch try parser.next() {
            case .head(let head): return head
            case .body, .end: throw ProxyError(.badAnswer, "the service's answer has no head")
            case nil: try await read()
            }
        }
    }

    /// The next piece; nil at the end.
    mutating func body() async throws -> ByteBuffer? {
        while true {
            switch try parser.next() {
            case .body(let bytes): return bytes
            case .end: return nil
            case .head: throw ProxyError(.badAnswer, "the service's answer has two heads")
            case nil: try await read()
            }
        }
    }

    private mutating func read() async throws {
        do {
            guard let bytes = try await owner.tunnel.read() else { return parser.close() }
            parser.append(bytes)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw parser.hasBegun ? ProxyError(.badAnswer, "the connection to the service broke") : .noAnswer
        }
    }
}
