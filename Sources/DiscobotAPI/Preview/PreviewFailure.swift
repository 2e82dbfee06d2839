// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import DiscobotSandbox
import HTTPTypes
import Hummingbird
import NIOCore

/// Why a service is not seen: a page for people, JSON for programs.
struct PreviewFailure: Sendable {
    private let session: String?
    private let service: String
    private let headers: ProxyHeaders
    let wantsPage: Bool

    init(_ target: Preview.Target, wantsPage: Bool) {
        session = target.session?.id.rawValue
        service = target.service
        headers = target.headers
        self.wantsPage = wantsPage
    }

    private struct Body: Encodable {
        let error: String
        let message: String
        let sessionId: String?
        let serviceId: String
    }

    func unknown() throws -> Response {
        try answer(.notFound, "Session not found", PreviewPage(title: "No such session", message: Self.unknownSession))
    }

    private static let unknownSession = "No session of this server has this name, or more than one does."

    /// Throws what is none of the service's or the sandbox's failures.
    func response(to error: any Error) throws -> Response {
        switch error {
        case let refusal as ServiceRefusal: try refused(refusal)
        case let error as ProxyError: try broken(error)
        case is CancellationError: try response(to: ServerError(.unavailable, "the server is stopping"))
        case let error as ServerError where error.code == .unavailable || error.code == .timedOut:
            try answer(
                .badGateway,
                "Failed to connect to sandbox",
                PreviewPage(title: "The sandbox is starting", message: error.message, isRetried: true)
            )
        case let error as ServerError where error.code != .internal:
            try answer(
                .badGateway,
                "Failed to connect to sandbox",
                PreviewPage(title: "The sandbox cannot be reached", message: error.message)
            )
        default: throw error
        }
    }

    private func refused(_ refusal: ServiceRefusal) throws -> Response {
        let failure = refusal.failure
        if failure.error == "connection_refused" {
            let title = failure.exitCode != nil ? "\(service) has ended" : "\(service) is starting"
            return try answer(
                .badGateway,
                "Service unavailable",
                PreviewPage(title: title, message: failure.message, output: failure.output, isRetried: true)
            )
        }
        if failure.error == "service_stopped" {
            return try answer(
                .badGateway,
                "Service unavailable",
                PreviewPage(title: "\(service) was stopped", message: failure.message, output: failure.output)
            )
        }
        let isUnknown = refusal.status == 404
        return try answer(
            isUnknown ? .notFound : .badGateway,
            isUnknown ? "Service not found" : "Service unavailable",
            PreviewPage(title: "\(service) cannot be shown", message: failure.message)
        )
    }

    private func broken(_ error: ProxyError) throws -> Response {
        let status: HTTPResponse.Status =
            switch error.code {
            case .badRequest: .badRequest
            case .badAnswer, .noAnswer: .badGateway
            case .timedOut: .gatewayTimeout
            }
        return try answer(
            status,
            "Service unavailable",
            PreviewPage(title: "\(service) gives no proper answer", message: error.message)
        )
    }

    private func answer(_ status: HTTPResponse.Status, _ error: String, _ page: PreviewPage) throws -> Response {
        var response: Response
        if wantsPage {
            // Nothing of a service that is starting is to be kept by anybody.
            response = Response(
                status: page.isRetried ? .serviceUnavailable : status,
                headers: [
                    .contentType: "text/html; charset=utf-8", .contentSecurityPolicy: PreviewPage.policy,
                    .retryAfter: "2",
                ],
                body: ResponseBody(byteBuffer: ByteBuffer(string: page.html))
            )
        } else {
            let body = Body(error: error, message: page.message, sessionId: session, serviceId: service)
            response = try .json(body, status: status)
        }
        response.headers[.cacheControl] = "no-store"
        response.headers[.xContentTypeOptions] = "nosniff"
        return response
    }
}
