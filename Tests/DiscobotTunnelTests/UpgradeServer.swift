// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import DiscobotTestSupport
import DiscobotTunnel
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle

/// A server with WebSockets and tunnels, behind what both executables serve with.
struct UpgradeServer: Sendable {
    let port: Int
    let stop: @Sendable () async -> Void

    var url: String { "ws://127.0.0.1:\(port)" }

    static func with(
        settings: WebSocket.Settings = WebSocket.Settings(),
        _ body: @escaping @Sendable (UpgradeServer) async throws -> Void
    ) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
        let application = Application(
            responder: router(settings).buildResponder(),
            server: .upgradableHTTP1,
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { continuation.yield($0.localAddress?.port ?? 0) },
            logger: logger
        )
        let group = ServiceGroup(configuration: .init(services: [application], logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                defer { continuation.finish() }
                try await group.run()
            }
            for await port in ports {
                let result: Result<Void, any Error>
                do {
                    let server = UpgradeServer(port: port) { await group.triggerGracefulShutdown() }
                    result = .success(try await body(server))
                } catch {
                    result = .failure(error)
                }
                await group.triggerGracefulShutdown()
                try await tasks.waitForAll()
                return try result.get()
            }
        }
    }

    private static func router(_ settings: WebSocket.Settings) -> Router<AppRequestContext> {
        let router = Router(context: AppRequestContext.self, options: .autoGenerateHeadEndpoints)
        router.addMiddleware { ErrorMiddleware { _ in [] } }
        router.get("plain") { _, _ in "plain" }
        router.post("plain") { request, _ in try await String(buffer: request.body.collect(upTo: 1 << 20)) }
        for method in [HTTPRequest.Method.get, .head] {
            router.on("open", method: method) { _, _ in
                Response(status: .ok, body: ResponseBody(contentLength: nil) { writer in try await writer.finish(nil) })
            }
        }
        router.get("echo/:name") { (request: Request, context: AppRequestContext) -> Response in
            let name = try context.parameters.require("name")
            guard name != "forbidden" else { throw ServerError.forbidden("not you") }
            return try WebSocketRequest(request).response(on: context.channel, settings) { socket in
                try await echo(socket, greets: name == "greeting")
            }
        }
        router.get("flood") { (request: Request, context: AppRequestContext) -> Response in
            try WebSocketRequest(request).response(on: context.channel, settings) { socket in try await flood(socket) }
        }
        router.get("tunnel") { (request: Request, context: AppRequestContext) -> Response in
            guard request.upgrades.contains("echo") else { throw ServerError.invalidArgument("no tunnel") }
            return Response.tunnel(on: context.channel, headers: [.upgrade: "echo"]) { tunnel in
                try await echo(tunnel)
            }
        }
        for method in [HTTPRequest.Method.get, .post] {
            router.on("proxy/:port/:milliseconds", method: method) { try await proxied($0, $1) }
        }
        return router
    }

    /// What a service on another port says, or what is wrong with it.
    private static func proxied(_ request: Request, _ context: AppRequestContext) async throws -> Response {
        let port = try context.parameters.require("port", as: Int.self)
        var proxy = ReverseProxy(path: "/", headers: ProxyHeaders())
        proxy.patience = .milliseconds(try context.parameters.require("milliseconds", as: Int64.self))
        proxy.closePatience = .milliseconds(200)
        do {
            return try await proxy.response(to: request, on: context.channel) {
                TunnelOwner(try await .connect(host: "127.0.0.1", port: port, on: context.channel.eventLoop))
            }
        } catch let error as ProxyError {
            return Response(status: .badGateway, body: ResponseBody(byteBuffer: ByteBuffer(string: error.message)))
        }
    }
}

@concurrent
private func echo(_ socket: WebSocket, greets: Bool) async throws {
    if greets { try await socket.send(.text("hello")) }
    while let message = try await socket.receive() {
        if message == .text("close me") { return socket.close(WebSocketClose(4001, "as you wish")) }
        if message == .text("fail") { throw ServerError.notFound("lost") }
        try await socket.send(message)
    }
}

@concurrent
private func echo(_ tunnel: ByteTunnel) async throws {
    while let bytes = try await tunnel.read() { try await tunnel.write(bytes) }
    try await tunnel.write(ByteBuffer(string: "end"))
}

@concurrent
private func flood(_ socket: WebSocket) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { while try await socket.receive() != nil {} }
        do {
            while true { try await socket.send(.text(String(repeating: "x", count: 8000))) }
        } catch {
            try await group.waitForAll()
        }
    }
}

/// A connection of bytes, for what no client would send.
extension RawConnection {
    static let upgrade =
        "Host: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
}
