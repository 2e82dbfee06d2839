// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import DiscobotTunnel
import HTTPTypes
import Hummingbird
import NIOCore

// The way to a service's port, which is on the sandbox's own loopback interface.
extension ServiceRoutes {
    /// Hands the bytes of a connection to the service to the caller.
    func tunnel(_ id: String, _ request: Request, _ context: AppRequestContext) async throws -> Response {
        guard request.upgrades.contains(ServiceTunnel.name) else {
            throw ServerError.invalidArgument("this is a tunnel; ask with Upgrade: \(ServiceTunnel.name)")
        }
        let wait = request.query("wait").flatMap { Int($0) }.map { Duration.milliseconds(max(0, $0)) } ?? .zero
        let endpoint = try await services.endpoint(of: id)
        let owner = TunnelOwner(
            try await connect(to: id, endpoint.port, context.channel, wait: min(wait, ServiceTunnel.maximumWait))
        )
        var headers: HTTPFields = [.upgrade: ServiceTunnel.name]
        if let name = HTTPField.Name(ServiceTunnel.schemeHeader) { headers[name] = endpoint.scheme }
        return .tunnel(on: context.channel, headers: headers) { await ByteTunnel.join($0, owner.tunnel) }
    }

    /// Passes a request on to the service.
    func proxy(_ id: String, _ request: Request, _ context: AppRequestContext) async throws -> Response {
        let endpoint = try await services.endpoint(of: id)
        guard case .http(let port) = endpoint else {
            throw ServiceError(.proxy, "the service \(id) speaks TLS; use its tunnel")
        }
        do {
            // What authorizes here is the runtime's own secret.
            let headers = ProxyHeaders(passesAuthorization: false)
            return try await ReverseProxy(path: Self.rest(of: request), headers: headers).response(
                to: request,
                on: context.channel
            ) {
                TunnelOwner(try await connect(to: id, port, context.channel, wait: .zero))
            }
        } catch let error as ProxyError {
            throw ServiceError(.proxy, error.message)
        }
    }

    /// The path and query behind `/services/{id}/http`, as they were sent.
    private static func rest(of request: Request) -> String {
        let behindService = (request.head.path ?? "").dropFirst("/services/".count).drop { $0 != "/" }
        let rest = behindService.dropFirst("/http".count)
        return rest.hasPrefix("/") ? String(rest) : "/\(rest)"
    }

    /// Tries both loopback addresses, again and again while the service may still be starting.
    private func connect(to id: String, _ port: Int, _ channel: any Channel, wait: Duration) async throws -> ByteTunnel
    {
        let deadline = ContinuousClock.now + wait
        var pause = Duration.milliseconds(20)
        while true {
            for host in ["127.0.0.1", "::1"] {
                if let tunnel = try? await ByteTunnel.connect(host: host, port: port, on: channel.eventLoop) {
                    return tunnel
                }
            }
            try Task.checkCancellation()
            let refusal = try await services.refusal(of: id)
            guard !refusal.isFinal, ContinuousClock.now < deadline else { throw refusal.error }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(200))
        }
    }
}

extension ServiceDefinition.Endpoint {
    fileprivate var scheme: String {
        switch self {
        case .http: "http"
        case .https: "https"
        }
    }
}
