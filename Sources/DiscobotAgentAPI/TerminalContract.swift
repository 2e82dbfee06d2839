// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// How large a terminal is, in characters.
package struct TerminalSize: Sendable, Equatable, Codable {
    package static let standard = TerminalSize(checkedRows: 24, checkedColumns: 80)
    private static let range = 1...1000

    package let rows: Int
    package let cols: Int

    /// Throws `invalidArgument`.
    package init(rows: Int, cols: Int) throws {
        guard Self.range.contains(rows), Self.range.contains(cols) else {
            throw ServerError.invalidArgument("rows and cols must be from 1 to \(Self.range.upperBound)")
        }
        self.init(checkedRows: rows, checkedColumns: cols)
    }

    /// The part that both sizes have.
    package init(smallerOf first: TerminalSize, _ second: TerminalSize) {
        self.init(checkedRows: min(first.rows, second.rows), checkedColumns: min(first.cols, second.cols))
    }

    /// A line less, if there is more than one.
    package var shortened: TerminalSize { TerminalSize(checkedRows: max(1, rows - 1), checkedColumns: cols) }

    private init(checkedRows rows: Int, checkedColumns cols: Int) {
        self.rows = rows
        self.cols = cols
    }

    /// Reads parameters of a query; throws `invalidArgument`.
    package init(rows: String?, cols: String?) throws {
        func number(_ text: String?, _ standard: Int) throws -> Int {
            guard let text else { return standard }
            guard let number = Int(text) else { throw ServerError.invalidArgument("rows and cols must be numbers") }
            return number
        }
        try self.init(rows: number(rows, Self.standard.rows), cols: number(cols, Self.standard.cols))
    }
}

/// What who looks at a terminal sends.
package enum TerminalInput: Sendable, Equatable, Decodable {
    case input(String)
    case resize(TerminalSize)

    private enum Field: CodingKey {
        case type, data
    }

    private struct Size: Decodable {
        let rows: Int
        let cols: Int
    }

    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Field.self)
        switch try fields.decode(String.self, forKey: .type) {
        case "input": self = .input(try fields.decode(String.self, forKey: .data))
        case "resize":
            let size = try fields.decode(Size.self, forKey: .data)
            self = .resize(try TerminalSize(rows: size.rows, cols: size.cols))
        case let type: throw ServerError.invalidArgument("unknown type: \(type.prefix(64))")
        }
    }
}

/// What who looks at a terminal gets.
package enum TerminalOutput: Sendable, Equatable, Codable {
    case output(String)
    case error(String)

    private enum Field: CodingKey {
        case type, data
    }

    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Field.self)
        let data = try fields.decode(String.self, forKey: .data)
        switch try fields.decode(String.self, forKey: .type) {
        case "output": self = .output(data)
        default: self = .error(data)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: Field.self)
        switch self {
        case .output(let text):
            try fields.encode("output", forKey: .type)
            try fields.encode(text, forKey: .data)
        case .error(let message):
            try fields.encode("error", forKey: .type)
            try fields.encode(message, forKey: .data)
        }
    }
}

/// What is known of a user's terminal.
package struct TerminalState: Sendable, Equatable, Codable {
    /// Which shell it has or had, of all there ever were; nil when there was none.
    package let shell: String?
    package let isRunning: Bool
    /// Nil while the shell runs.
    package let exitCode: Int?
    /// The end of what it has shown, also of one whose shell has ended.
    package let output: String

    /// Of a user who had no shell yet.
    package init() {
        (shell, isRunning, exitCode, output) = (nil, false, nil, "")
    }

    /// - Parameter exitCode: nil while the shell runs.
    package init(shell: String, exitCode: Int?, output: String) {
        self.shell = shell
        self.isRunning = exitCode == nil
        self.exitCode = exitCode
        self.output = output
    }
}

/// How the connection to a terminal ends, between server and runtime.
package enum TerminalEnd {
    /// The shell's exit code is added to this.
    package static let shellExited = 4000
    package static let reason = "shell exited"
}
