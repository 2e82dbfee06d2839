// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Foundation
import Testing

struct StartupTaskTests {
    private static func time(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

    private static func json(_ task: StartupTask) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return String(decoding: try encoder.encode(EventKind.startupTaskUpdated(task)), as: UTF8.self)
    }

    @Test
    func `has only the fields that mean something`() throws {
        var task = StartupTask(id: "t", name: "Task")
        #expect(try Self.json(task) == #"{"id":"t","name":"Task","state":"pending"}"#)
        task.advance("Pulling", bytes: 50, of: 200, at: Self.time(0))
        #expect(
            try Self.json(task)
                == #"{"bytesDownloaded":50,"currentOperation":"Pulling","id":"t","name":"Task","progress":25,"#
                + #""startedAt":"1970-01-01T00:00:00.000Z","state":"in_progress","totalBytes":200}"#
        )
        task.fail("no network", at: Self.time(1000))
        #expect(try Self.json(task).contains(#""error":"no network""#))
        #expect(try Self.json(task).contains(#""state":"failed""#))
        #expect(EventKind.startupTaskUpdated(task).type == "startup_task_updated")
    }

    @Test(
        arguments: [
            (Int64(-1), Int64(100), nil, nil), (0, 0, 0, nil), (10, 5, 10, nil), (0, 100, 0, 0), (100, 100, 100, 100),
            (.max, .max, .max, 100),
        ] as [(Int64, Int64, Int64?, Int?)]
    )
    func `makes no nonsense of what an engine counts`(bytes: Int64, total: Int64, downloaded: Int64?, percent: Int?) {
        var task = StartupTask(id: "t", name: "Task")
        task.advance("Pulling", bytes: bytes, of: total, at: Self.time(0))
        #expect(task.bytesDownloaded == downloaded)
        #expect(task.progress == percent)
    }

    @Test
    func `the same failure is told once, and the next attempt begins anew`() {
        var task = StartupTask(id: "t", name: "Task")
        task.advance("Pulling", bytes: 50, of: 200, at: Self.time(0))
        task.fail("no network", at: Self.time(10))
        let failed = task
        task.fail("no network", at: Self.time(20))
        #expect(task == failed)
        task.advance("Pulling", at: Self.time(30))
        #expect(task.error == nil && task.bytesDownloaded == nil && task.completedAt == nil)
        #expect(task.startedAt == Self.time(30))
        task.complete(at: Self.time(40))
        #expect(task.state == .completed && task.progress == 100 && task.currentOperation == nil)
        #expect(task.startedAt == Self.time(30) && task.completedAt == Self.time(40))
    }
}
