// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import HTTPTypes

extension ServerError.Code {
    /// The one place that knows which status answers which error.
    package var status: HTTPResponse.Status {
        switch self {
        case .invalidArgument: .badRequest
        case .unauthenticated: .unauthorized
        case .forbidden: .forbidden
        case .notFound: .notFound
        case .conflict: .conflict
        case .preconditionFailed: .preconditionFailed
        case .tooLarge: .contentTooLarge
        case .unsupported: .notImplemented
        case .unavailable: .serviceUnavailable
        case .timedOut: .gatewayTimeout
        case .storageFull: HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage")
        default: .internalServerError
        }
    }
}

/// The body of every failure.
package struct ErrorBody: Encodable {
    private let error: String

    package init(_ message: String) {
        error = message
    }

    /// What is answered when the cause must stay in the log.
    package static func internalError(requestID: String) -> ErrorBody {
        ErrorBody("Internal server error (request \(requestID))")
    }
}
