// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Foundation

/// A path on the listener for addresses with the service in their path: `/<session>/<service>/<secret>/…`.
struct PreviewPath: Sendable, Equatable {
    let session: ID<Session>
    let service: String
    let secret: String
    /// What comes before the service's own path; without a slash at its end.
    let prefix: String
    /// The service's own path and query; begins with a slash, or is empty where that is missing.
    let rest: String

    /// Nil for any other path.
    init?(_ path: String) {
        let parts = path.split(separator: "/", maxSplits: 4, omittingEmptySubsequences: false)
        guard parts.count >= 4, parts[0].isEmpty, let session = parts[1].removingPercentEncoding, !session.isEmpty,
            !parts[2].isEmpty
        else { return nil }
        let secret = parts[3].prefix { $0 != "?" }
        self.session = ID(rawValue: session)
        service = String(parts[2])
        self.secret = String(secret)
        prefix = "/\(parts[1])/\(parts[2])/\(secret)"
        rest = String(path.dropFirst(prefix.count))
    }

    static func prefix(_ session: ID<Session>, service: String, secret: String) -> String {
        "/\(session)/\(service)/\(secret)"
    }
}
