// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import DiscobotGit

@Suite struct GitCloneProgressTests {
    @Test(arguments: [
        ("remote: Counting objects:   7% (1/13)", "counting", 7),
        ("remote: Compressing objects: 100% (13/13), done.", "compressing", 100),
        ("Receiving objects:  42% (420/1000), 1.20 MiB | 3.00 MiB/s", "receiving", 42),
        ("Resolving deltas:   0% (0/5)", "resolving", 0),
        ("Updating files:  99% (99/100)", "checking out", 99),
        ("Checking out files:  5% (1/20)", "checking out", 5),
    ])
    func `reads a progress line`(line: String, phase: String, percent: Int) {
        #expect(GitCloneProgress(line: line) == GitCloneProgress(phase: phase, percent: percent))
    }

    @Test(arguments: [
        "", "remote: Enumerating objects: 13, done.", "Cloning into 'x'...", "Receiving objects:", "fatal: 50% lost",
        "Receiving objects: 142% (1/1)", "Receiving objects: -1% (1/1)", "Receiving objects: x% (1/1)", "%", ":",
    ])
    func `ignores any other line`(line: String) {
        #expect(GitCloneProgress(line: line) == nil)
    }

    @Test func `splits lines at carriage returns, across buffers, within bounds`() {
        var buffer = LineBuffer()
        var lines: [String] = []
        for part in ["a\rb", "c\r\nd\n\n", "e"] { buffer.append(Array(part.utf8)) { lines.append($0) } }
        buffer.finish { lines.append($0) }
        #expect(lines == ["a", "bc", "d", "e"])

        for _ in 0..<1_000 { buffer.append(Array("line\n".utf8)) { _ in } }
        buffer.append([UInt8](repeating: 0x78, count: 100_000)) { _ in }
        buffer.finish { #expect($0.utf8.count == LineBuffer.lineLimit) }
        #expect(buffer.recent.count == LineBuffer.recentLimit)
    }
}
