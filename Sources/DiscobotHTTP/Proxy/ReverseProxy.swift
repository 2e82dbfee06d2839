// SPDX-License-Identifier: Apache-2.0

package import DiscobotTunnel
import HTTPTypes
package import Hummingbird
package import NIOCore
import ServiceLifecycle
import Synchronization

/// Passes one request on to a service over a connection of its own, and its answer back: both bodies piece by piece, each
/// side no faster than the other takes it.
package struct ReverseProxy: Sendable {
    /// The path and query that the service is asked for.
    package let path: String
    package let headers: ProxyHeaders
    /// How long the service may take to begin its answer after the last piece of the request.
    package var patience = TimeAmount.seconds(300)

    package init(path: String, headers: ProxyHeaders) {
        self.path = path
        self.headers = headers
    }

    /// Throws `ProxyError`, and what `connect` throws, while nothing has been answered.
    package func response(
        to request: Request,
        on channel: any Channel,
        connect: () async throws -> TunnelOwner
    ) async throws -> Response {
        let wantsWebSocket = request.upgrades.contains("websocket")
        let framing = try ProxyFraming(request)
        let head = try head(of: request, channel, framing, wantsWebSocket: wantsWebSocket)
        let owner = try await connect()
        let upload = ProxyUpload(request.body, framing, after: head, to: owner, patience: patience)
        do {
            var reader = ProxyReader(owner: owner, parser: AnswerParser(isToHead: request.method == .head))
            let answer = try await reader.head(upload)
            if answer.status == 101 {
                guard wantsWebSocket else { throw ProxyError(.badAnswer, "the service speaks another protocol") }
                await upload.end()
                return webSocket(answer, reader, on: channel)
            }
            return plain(answer, reader, upload, on: channel)
        } catch {
            owner.tunnel.close()
            await upload.end()
            throw upload.hasExpired ? ProxyError(.timedOut, "the service does not answer in time") : error
        }
    }

    private func head(
        of request: Request,
        _ channel: any Channel,
        _ framing: ProxyFraming,
        wantsWebSocket: Bool
    ) throws -> ByteBuffer {
        let isPlain = path.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }
        guard path.hasPrefix("/"), isPlain, let authority = request.head.authority,
            !authority.contains(where: \.isNewline)
        else { throw ProxyError(.badRequest, "the request cannot be passed on") }
        let client = channel.remoteAddress?.ipAddress
        var text = "\(request.method.rawValue) \(path) HTTP/1.1\r\nHost: \(authority)\r\n"
        for field in headers.request(
            request.headers,
            authority: authority,
            path: request.head.path ?? "/",
            client: client
        ) {
            text += "\(field.name): \(field.value)\r\n"
        }
        text += framing.field
        text += wantsWebSocket ? "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" : "Connection: close\r\n\r\n"
        return ByteBuffer(string: text)
    }

    private func webSocket(_ answer: AnswerParser.Head, _ reader: ProxyReader, on channel: any Channel) -> Response {
        var fields = headers.response(answer.fields)
        fields[.upgrade] = "websocket"
        return .tunnel(on: channel, headers: fields) { client in
            if reader.parser.rest.readableBytes > 0 { try await client.write(reader.parser.rest) }
            await ByteTunnel.join(client, reader.owner.tunnel)
        }
    }

    private func plain(
        _ answer: AnswerParser.Head,
        _ reader: ProxyReader,
        _ upload: ProxyUpload,
        on channel: any Channel
    ) -> Response {
        var fields = headers.response(answer.fields)
        if let length = answer.contentLength { fields[.contentLength] = String(length) }
        let isOpen = answer.contentLength == nil
        return Response(
            status: HTTPResponse.Status(code: answer.status),
            headers: fields,
            body: ResponseBody(contentLength: nil) { writer in
                let watch = isOpen ? await ClientWatch.begin(on: channel, reader.owner.tunnel) : nil
                do {
                    try await withGracefulShutdownHandler {
                        var reader = reader
                        while let bytes = try await reader.body() { try await writer.write(bytes) }
                    } onGracefulShutdown: {
                        // Others have an end that is worth waiting for.
                        if isOpen { reader.owner.tunnel.close() }
                    }
                } catch {
                    reader.owner.tunnel.close()
                    await upload.end()
                    await watch?.end()
                    throw error
                }
                reader.owner.tunnel.close()
                await upload.end()
                await watch?.end()
                try await writer.finish(nil)
            }
        )
    }
}

/// Reads a service's answer.
private struct ProxyReader: Sendable {
    let owner: TunnelOwner
    var parser: AnswerParser

    mutating func head(_ upload: ProxyUpload) async throws -> AnswerParser.Head {
        while true {
            switch try parser.next() {
            case .head(let head):
                upload.answerHasBegun()
                return head
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
            throw ProxyError(.badAnswer, "the connection to the service broke")
        }
    }
}
