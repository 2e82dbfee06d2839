// SPDX-License-Identifier: Apache-2.0

/// How far a clone has come.
package struct GitCloneProgress: Equatable, Sendable {
    /// `counting`, `compressing`, `receiving`, `resolving` or `checking out`.
    package let phase: String
    /// 0 to 100, of the phase.
    package let percent: Int

    package init(phase: String, percent: Int) {
        self.phase = phase
        self.percent = percent
    }

    /// Parses a line such as `Receiving objects:  42% (420/1000), 1.2 MiB | 3 MiB/s`; nil for any other line.
    package init?(line: String) {
        let text = line.hasPrefix("remote: ") ? line.dropFirst("remote: ".count) : line[...]
        guard let colon = text.firstIndex(of: ":"), let phase = Self.phases[String(text[..<colon])] else { return nil }
        let value = text[text.index(after: colon)...].drop { $0 == " " }
        guard let sign = value.firstIndex(of: "%"), let percent = Int(value[..<sign]), 0...100 ~= percent else {
            return nil
        }
        self.init(phase: phase, percent: percent)
    }

    private static let phases = [
        "Counting objects": "counting",
        "Compressing objects": "compressing",
        "Receiving objects": "receiving",
        "Resolving deltas": "resolving",
        "Updating files": "checking out",
        "Checking out files": "checking out",
    ]
}
