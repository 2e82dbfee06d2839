// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import DiscobotSandbox
import DiscobotServices
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOHTTP1

/// Answers a request with what a session's service says, or says why it does not.
struct Preview: Sendable {
    let previews: PreviewService

    /// What a request is about.
    struct Target: Sendable {
        /// Nil when there is none of this name.
        let session: Session?
        let service: String
        let path: String
        let headers: ProxyHeaders
    }

    /// A page asks again by itself, so it is soon told how things are; a program waits.
    private static let pagePatience = Duration.milliseconds(1500)
    private static let programPatience = Duration.seconds(25)

    func response(to request: Request, _ context: AppRequestContext, _ target: Target) async throws -> Response {
        let failure = PreviewFailure(target, wantsPage: Self.wantsPage(request))
        guard let session = target.session else { return try failure.unknown() }
        await previews.activity.touch(session.id)
        do {
            let channel = context.channel
            var response = try await ReverseProxy(path: target.path, headers: target.headers).response(
                to: request,
                on: channel,
                keepingIn: previews.keptConnections(to: target.service, of: session.id)
            ) {
                try await previews.connect(
                    to: target.service,
                    of: session,
                    patience: failure.wantsPage ? Self.pagePatience : Self.programPatience,
                    on: channel.eventLoop
                )
            }
            keepInUse(session, &response)
            return response
        } catch let error as HTTPParserError {
            throw error
        } catch {
            let answer = try failure.response(to: error)
            context.logger.debug("no preview", metadata: ["session": "\(session.id)", "error": "\(error)"])
            return answer
        }
    }

    /// As long as the answer goes on, the session is in use.
    private func keepInUse(_ session: Session, _ response: inout Response) {
        let body = response.body
        let activity = previews.activity
        response.body = ResponseBody(contentLength: nil) { writer in
            let end = activity.begin(session.id)
            defer { end() }
            try await body.write(writer)
        }
    }

    /// Whether a person waits for a page, and not a program for data.
    static func wantsPage(_ request: Request) -> Bool {
        guard request.method == .get, request.headers[.upgrade] == nil else { return false }
        return request.headers[.accept]?.contains("text/html") == true
    }
}
