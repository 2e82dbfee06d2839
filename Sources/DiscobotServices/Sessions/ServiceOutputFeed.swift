// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
import DiscobotModel

/// The output of a service on its way from the agent to one reader, one piece at a time.
package struct ServiceOutputFeed: Sendable {
    package enum Piece: Sendable {
        /// Whole frames of an event stream.
        case frames([UInt8])
        /// The output cannot be read any further.
        case failure(ServiceOutputEvent)
    }

    /// To be taken one after another, each followed by ``taken()``.
    package let pieces: AsyncStream<Piece>
    private let acknowledge: AsyncStream<Void>.Continuation
    private let task: Task<Void, Never>

    init(_ follow: @escaping @Sendable (_ handle: ([UInt8]) async throws -> Void) async throws -> Void) {
        let (pieces, output) = AsyncStream.makeStream(of: Piece.self)
        let (acknowledgements, acknowledge) = AsyncStream.makeStream(of: Void.self)
        self.pieces = pieces
        self.acknowledge = acknowledge
        // Ends with the output, or when the reader stops it: reading an answer cannot be broken off in another way.
        task = Task {
            defer { output.finish() }
            do {
                try await follow { frames in
                    output.yield(.frames(frames))
                    guard await acknowledgements.first(where: { true }) != nil else { throw CancellationError() }
                }
            } catch is CancellationError {
                return
            } catch {
                let message = (error as? ServerError)?.message ?? "the output cannot be read"
                output.yield(.failure(ServiceOutputEvent(.error, error: message)))
            }
        }
    }

    package func taken() {
        acknowledge.yield()
    }

    /// Ends the pieces.
    package func stop() {
        task.cancel()
        acknowledge.finish()
    }
}
