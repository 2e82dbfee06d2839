// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization
import Testing

@testable import discobot_server

struct EscapingLogHandlerTests {
    private struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Keeps what it is given, as a line.
    private struct Recorder: LogHandler {
        final class Lines: Sendable {
            let all = Mutex<[String]>([])
        }

        let lines = Lines()
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
            lines.all.withLock { $0.append("\(event.message) " + all.map { "\($0)=\($1)" }.joined(separator: " ")) }
        }
    }

    private func log(_ body: (inout Logger) -> Void) -> [String] {
        let recorder = Recorder()
        var logger = Logger(label: "test", factory: { _ in EscapingLogHandler(recorder) })
        body(&logger)
        return recorder.lines.all.withLock { $0 }
    }

    @Test
    func `nothing that is logged can break a line or move a cursor`() {
        let text = "fatal\r\nerror: \u{1B}[2J\u{7}\u{85}\u{2028}end"
        let escaped = #"fatal\r\nerror: \u{1B}[2J\u{07}\u{0085}\u{2028}end"#
        let lines = log { logger in
            logger[metadataKey: "own"] = "\(text)"
            let failure = Failure(description: text)
            logger.error("\(text)", metadata: ["list": ["\(text)"], "value": .stringConvertible(failure)])
        }
        let list = [escaped]
        #expect(lines == ["\(escaped) list=\(list) own=\(escaped) value=\(escaped)"])
    }

    @Test
    func `other text stays as it is`() {
        let text = #"größer \\ "quoted" 🎉 e\u{301}"#
        #expect(log { $0.notice("\(text)", metadata: ["a": "\(text)"]) } == ["\(text) a=\(text)"])
    }
}
