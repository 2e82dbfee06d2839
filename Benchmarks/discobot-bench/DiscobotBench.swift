// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

/// Measures what no load generator can see; the scripts beside it say how to run it.
@main
struct DiscobotBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discobot-bench",
        subcommands: [
            JobsBenchmark.self, EventsBenchmark.self, BareEventsBenchmark.self, ChatBenchmark.self,
            DockerBenchmark.self, TerminalBenchmark.self,
        ]
    )
}

/// Writes a line of the result.
func report(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
}

extension Array<Duration> {
    /// The value that this share of a sorted list does not exceed, in milliseconds.
    func percentile(_ share: Double) -> String {
        guard !isEmpty else { return "-" }
        let index = Swift.min(count - 1, Int(Double(count) * share))
        return String(format: "%.2f", self[index] / .milliseconds(1))
    }
}
