// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import HTTPTypes
import Hummingbird

/// Why a service could not be used, in the words of the agent API.
struct ServiceError: Error, Equatable {
    enum Code: String {
        case notFound = "service_not_found"
        case alreadyRunning = "service_already_running"
        case notRunning = "service_not_running"
        case noPort = "service_no_port"
        case isPassive = "service_is_passive"
        case cannotStart = "service_cannot_start"
        case tooMany = "too_many_services"
        case connectionRefused = "connection_refused"
        /// The user has stopped it, so only the user starts it again.
        case isStopped = "service_stopped"
        case proxy = "proxy_error"
    }

    let code: Code
    let message: String
    var pid: Int?
    var exitCode: Int?
    /// The end of what the service has written.
    var output: String?

    init(_ code: Code, _ message: String, pid: Int? = nil, exitCode: Int? = nil, output: String? = nil) {
        self.code = code
        self.message = message
        self.pid = pid
        self.exitCode = exitCode
        self.output = output
    }

    private var status: HTTPResponse.Status {
        switch code {
        case .notFound: .notFound
        case .alreadyRunning, .tooMany: .conflict
        case .notRunning, .noPort, .isPassive, .cannotStart: .badRequest
        case .connectionRefused, .isStopped: .serviceUnavailable
        case .proxy: .badGateway
        }
    }

    func response() throws -> Response {
        try .json(
            ServiceFailure(error: code.rawValue, message: message, pid: pid, exitCode: exitCode, output: output),
            status: status
        )
    }
}
