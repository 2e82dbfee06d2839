// SPDX-License-Identifier: Apache-2.0

/// The exit codes of ends that are no failure: orderly ones, and those that somebody else has ordered.
enum OrderlyExit: Int {
    case completed = 0
    case killed = 137
    case terminated = 143

    /// What has happened, after "the sandbox".
    var reason: String {
        let event =
            switch self {
            case .completed: "has ended by itself"
            case .killed: "was killed, by somebody or for want of memory of the machine"
            case .terminated: "was told to end by somebody"
            }
        return "\(event) (exit code \(rawValue))"
    }
}
