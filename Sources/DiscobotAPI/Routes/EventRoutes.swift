// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import DiscobotServices
import FoundationEssentials
import HTTPTypes
import Hummingbird

/// The news of a project: as a stream, or as a list for clients that ask for JSON.
struct EventRoutes: Sendable {
    let events: EventBroker

    var group: EndpointGroup {
        EndpointGroup(
            name: "Events",
            endpoints: [
                .project(
                    .get,
                    "/events",
                    "What happens in a project, as server-sent events",
                    [.query("after"), .query("since", example: "2026-01-01T00:00:00Z")] + EndpointParameter.page,
                    use: follow
                )
            ]
        )
    }

    private func follow(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let accepted = request.raw.headers[.accept] ?? ""
        if accepted.contains("application/json"), !accepted.contains("text/event-stream") {
            return try await list(request, project)
        }
        let start = try start(request)
        return EventStream.response(to: request.raw, on: request.channel) { stream, end in
            do {
                // Here and not before: the body of an answer to HEAD never runs, and would leave a reader behind.
                let subscription = try await events.subscribe(
                    to: project,
                    from: start,
                    connection: EventStreamConnection(request.channel)
                )
                defer { events.unsubscribe(subscription) }
                end.whenReached { subscription.finish() }
                try await send(subscription, to: &stream)
            } catch let error as ServerError {
                // The status has been sent already.
                let message = String(decoding: try JSONEncoder().encode(["error": error.message]), as: UTF8.self)
                try await stream.write(ServerSentEvent(event: "error", data: message).bytes)
            }
        }
    }

    private struct Greeting: Encodable {
        let projectId: ID<Project>
    }

    @concurrent
    private func send(_ subscription: EventSubscription, to stream: inout EventStream) async throws {
        let greeting = String(
            decoding: try JSONEncoder().encode(Greeting(projectId: subscription.project)),
            as: UTF8.self
        )
        try await stream.write(ServerSentEvent(event: "connected", data: greeting).bytes)
        if subscription.isReset {
            try await stream.write(ServerSentEvent(event: "reset", data: greeting).bytes)
        }
        for await _ in subscription {
            var frames = try await events.next(subscription)
            if frames.isEmpty, subscription.takeSilence(of: events.idleInterval) {
                try await stream.write(ServerSentEvent.comment)
            }
            while !frames.isEmpty {
                try await stream.write(frames)
                frames = try await events.next(subscription)
            }
        }
    }

    /// `after` wins over `Last-Event-ID`, which browsers send by themselves, and both over `since`.
    private func start(_ request: APIRequest) throws -> EventStart {
        if let id = try request.query("after") ?? request.query("cursor") { return .after(eventID: id) }
        if let id = request.raw.headers[.lastEventID], !id.isEmpty { return .after(eventID: id) }
        guard let text = try request.query("since") else { return .now }
        if let seconds = Int64(text), seconds.magnitude < 1 << 40 {
            return .since(Timestamp(milliseconds: seconds * 1000))
        }
        guard let time = Timestamp(rfc3339: text) else {
            throw ServerError.invalidArgument("since must be an RFC 3339 time or Unix seconds")
        }
        return .since(time)
    }

    private struct ListResponse: Encodable {
        let events: [EventResponse]
        let nextCursor: String?
    }

    private func list(_ request: APIRequest, _ project: ID<Project>) async throws -> Response {
        let limit = try request.limit(default: 100)
        let start = try start(request)
        let found = try await events.list(of: project, from: start == .now ? .oldest : start, limit: limit + 1)
        let page = found.prefix(limit)
        return try .json(
            ListResponse(
                events: page.map(EventResponse.init),
                nextCursor: found.count > limit ? page.last?.id : nil
            )
        )
    }
}

extension EventStreamConnection: EventConnection {}

/// An event as clients see it.
struct EventResponse: Encodable {
    private let id: String
    private let seq: Int64
    private let type: String
    private let timestamp: Timestamp
    private let data: StoredJSON

    init(_ event: Event) {
        id = event.id
        seq = event.sequence
        type = event.type
        timestamp = event.timestamp
        data = StoredJSON(text: event.data)
    }
}

extension Event {
    /// The event as a frame of a stream.
    package var frame: [UInt8] {
        // The parts are known to need no escaping; encoding them again would cost more than all the rest.
        let json =
            #"{"id":"\#(id)","seq":\#(sequence),"type":"\#(type)","timestamp":"\#(timestamp.rfc3339)","data":\#(data)}"#
        return ServerSentEvent(id: id, event: type, data: json).bytes
    }
}
