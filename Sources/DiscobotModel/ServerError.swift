// SPDX-License-Identifier: Apache-2.0

/// The one error of the system: a code that decides the answer, a message the user may read, and a cause for the log.
package struct ServerError: Error, Sendable, CustomStringConvertible {
    package struct Code: Hashable, Sendable {
        private enum Value: String {
            case invalidArgument, unauthenticated, forbidden, notFound
            case conflict, preconditionFailed, tooLarge, unavailable, timedOut, storageFull, operationFailed
            case unsupported, `internal`
        }

        private let value: Value

        package static let invalidArgument = Code(value: .invalidArgument)
        package static let unauthenticated = Code(value: .unauthenticated)
        package static let forbidden = Code(value: .forbidden)
        package static let notFound = Code(value: .notFound)
        package static let conflict = Code(value: .conflict)
        /// What the caller said must hold does not.
        package static let preconditionFailed = Code(value: .preconditionFailed)
        package static let tooLarge = Code(value: .tooLarge)
        package static let unavailable = Code(value: .unavailable)
        package static let timedOut = Code(value: .timedOut)
        package static let storageFull = Code(value: .storageFull)
        /// Something the server depends on failed, and the message may be shown.
        package static let operationFailed = Code(value: .operationFailed)
        /// Nobody here can do such a thing.
        package static let unsupported = Code(value: .unsupported)
        package static let `internal` = Code(value: .internal)

        package var name: String { value.rawValue }
    }

    package let code: Code
    package let message: String
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String {
        cause.map { "\(code.name): \(message) (\($0))" } ?? "\(code.name): \(message)"
    }
}

extension ServerError {
    package static func invalidArgument(_ message: String) -> ServerError { ServerError(.invalidArgument, message) }
    package static func notFound(_ message: String) -> ServerError { ServerError(.notFound, message) }
    package static func conflict(_ message: String) -> ServerError { ServerError(.conflict, message) }
    package static func forbidden(_ message: String) -> ServerError { ServerError(.forbidden, message) }
}
