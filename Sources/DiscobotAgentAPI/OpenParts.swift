// SPDX-License-Identifier: Apache-2.0

/// What an answer has begun and not ended yet.
package struct OpenParts: Sendable {
    package private(set) var hasStarted = false
    package private(set) var hasEnded = false
    private var texts: [String] = []
    private var reasonings: [String] = []
    private var tools: [String] = []

    package init() {}

    package mutating func append(_ chunk: Chunk) {
        switch chunk {
        case .start: hasStarted = true
        case .textStart(let id): texts.append(id)
        case .textEnd(let id): texts.removeAll { $0 == id }
        case .reasoningStart(let id): reasonings.append(id)
        case .reasoningEnd(let id): reasonings.removeAll { $0 == id }
        case .toolInputStart(let id, _, _), .toolInputAvailable(let id, _, _, _):
            if !tools.contains(id) { tools.append(id) }
        case .toolOutputAvailable(let id, _), .toolOutputError(let id, _): tools.removeAll { $0 == id }
        case .finish, .abort, .error: hasEnded = true
        case .textDelta, .reasoningDelta, .toolInputDelta: break
        }
    }

    /// The chunks that end what is open, in an order that the protocol allows.
    ///
    /// - Parameter reason: what is said of tools whose output will not come.
    package func closing(_ reason: String) -> [Chunk] {
        texts.map { .textEnd(id: $0) } + reasonings.map { .reasoningEnd(id: $0) }
            + tools.map { .toolOutputError(toolCallId: $0, errorText: reason) }
    }
}
