// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotStore
import FoundationEssentials

/// Applied in the very transaction that records the job's success, so a worker that lost its job changes nothing.
package typealias JobResult = @Sendable (Transaction) throws -> Void

/// Does the work of one kind of job.
package protocol JobHandler: Sendable {
    associatedtype Payload: Codable & Sendable

    static var kind: Job.Kind { get }
    static var policy: JobPolicy { get }

    /// Does the work; it may have been done before, wholly or in part, by a server that died.
    ///
    /// A thrown `ServerError` that blames the request (`isPermanent`) ends the job, any other error is tried again.
    func run(_ payload: Payload) async throws -> JobResult

    /// Records that the work will not be tried again; part of the transaction that ends the job.
    func giveUp(_ payload: Payload, reason: String, in transaction: Transaction) throws
}

/// How jobs of a kind are run.
package struct JobPolicy: Sendable {
    /// How many may run at once in one server.
    package let concurrency: Int
    /// Higher goes first.
    package let priority: Int
    /// Whether it waits behind another job of its kind on its resource; otherwise it counts as already under way.
    package let queues: Bool
    /// How long it may run; nil is as long as the server's settings allow.
    package let timeout: Duration?
    /// How often it may be begun; nil is as often as the server's settings allow.
    package let maxAttempts: Int?
    /// Whether a stopping server gives it time to end; otherwise it is put back at once, for the next server.
    package let drains: Bool

    package init(
        concurrency: Int = 1,
        priority: Int = 10,
        queues: Bool = false,
        timeout: Duration? = nil,
        maxAttempts: Int? = nil,
        drains: Bool = true
    ) {
        self.concurrency = concurrency
        self.priority = priority
        self.queues = queues
        self.timeout = timeout
        self.maxAttempts = maxAttempts
        self.drains = drains
    }
}

/// A handler whose payload is still JSON.
struct AnyJobHandler: Sendable {
    typealias GiveUp = @Sendable (Job, String, Transaction) throws -> Void

    let kind: Job.Kind
    let policy: JobPolicy
    let run: @Sendable (Job) async throws -> JobResult
    let giveUp: GiveUp

    init<Handler: JobHandler>(_ handler: Handler) {
        kind = Handler.kind
        policy = Handler.policy
        run = { try await handler.run(try Self.payload(of: $0, for: Handler.self)) }
        giveUp = { try handler.giveUp(try Self.payload(of: $0, for: Handler.self), reason: $1, in: $2) }
    }

    private static func payload<Handler: JobHandler>(of job: Job, for handler: Handler.Type) throws -> Handler.Payload {
        do {
            return try JSONDecoder().decode(Handler.Payload.self, from: Data(job.payload.utf8))
        } catch {
            throw ServerError(.invalidArgument, "the job's payload cannot be read", cause: error)
        }
    }
}

extension ServerError {
    /// Whether doing the same again cannot help.
    var isPermanent: Bool {
        [.invalidArgument, .notFound, .conflict, .forbidden, .tooLarge].contains(code)
    }
}
