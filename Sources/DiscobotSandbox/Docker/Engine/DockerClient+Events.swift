// SPDX-License-Identifier: Apache-2.0

import NIOHTTP1

/// Something that has happened to a container.
struct DockerEvent: Decodable, Sendable {
    struct Actor: Decodable, Sendable {
        let attributes: [String: String]?

        private enum CodingKeys: String, CodingKey {
            case attributes = "Attributes"
        }
    }

    let actor: Actor
    let nanoseconds: Int64?

    private enum CodingKeys: String, CodingKey {
        case actor = "Actor"
        case nanoseconds = "timeNano"
    }

    /// Labels are among an event's attributes.
    func label(_ name: String) -> String? { actor.attributes?[name] }
}

/// A moment as events are asked for.
struct DockerMoment: Sendable, Equatable {
    let nanoseconds: Int64

    var text: String {
        let fraction = String(nanoseconds % 1_000_000_000)
        return "\(nanoseconds / 1_000_000_000)." + String(repeating: "0", count: 9 - fraction.count) + fraction
    }
}

extension DockerClient {
    /// Gives `handle` the events of containers with a label, from a moment in the past on; returns when the engine ends
    /// the answer, and after an hour in any case. Engines accept at once.
    func events(
        label: String,
        since: DockerMoment,
        headWithin headLimit: Duration = .seconds(30),
        begun: @escaping @Sendable () async throws -> Void,
        handle: @escaping @Sendable (DockerEvent) async -> Void
    ) async throws {
        let filters = Self.filters(["label": [label], "type": ["container"]])
        let query = [("since", since.text), ("filters", filters)]
        let hour = Duration.seconds(3600)
        try await lines(.GET, "/events", query: query, within: hour, headWithin: headLimit, begun: begun) { line in
            // What kinds of events there are depends on the engine; one that cannot be read may be of a new kind.
            if let event: DockerEvent = try? Self.decode(line) { await handle(event) }
        }
    }
}
