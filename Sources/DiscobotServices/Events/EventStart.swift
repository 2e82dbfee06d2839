// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
import DiscobotStore

/// Where a reader of a project's events begins.
package enum EventStart: Sendable, Equatable {
    /// With the first event that is kept.
    case oldest
    /// With the next event.
    case now
    /// After the event with this id; an id that is not known (any more) means all that is kept.
    case after(eventID: String)
    /// With the first event at or after this time.
    case since(Timestamp)

    /// The number to read after, and whether events in between are lost.
    func position(
        in transaction: Transaction,
        project: ID<Project>,
        bounds: (oldest: Int64, newest: Int64)
    ) throws -> (sequence: Int64, isReset: Bool) {
        switch self {
        case .oldest:
            return (bounds.oldest - 1, false)
        case .now:
            return (bounds.newest, false)
        case .since(let time):
            let last = try transaction.sequence(before: time, in: project)
            return (max(last, bounds.oldest - 1), false)
        case .after(let id):
            guard let sequence = Int64(id), (bounds.oldest - 1...bounds.newest).contains(sequence) else {
                return (bounds.oldest - 1, true)
            }
            return (sequence, false)
        }
    }
}

extension Event {
    /// What clients resume with.
    package var id: String { String(sequence) }
}
