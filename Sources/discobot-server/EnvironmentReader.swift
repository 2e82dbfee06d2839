// SPDX-License-Identifier: Apache-2.0

import Configuration
import DiscobotModel
import Foundation
import SystemPackage

/// Reads settings from the environment, and from a `.env` file those that the environment lacks.
///
/// An empty value counts as absent; a wrong one throws a `ServerError` that names the variable.
struct EnvironmentReader: Sendable {
    private let lookUp: @Sendable (String) -> String?

    /// For tests.
    init(_ values: [String: String]) {
        lookUp = { values[$0] }
    }

    /// The process's environment and the file, which may be missing.
    init(file: String) async throws {
        let process = EnvironmentVariablesProvider()
        let dotEnv = try await EnvironmentVariablesProvider(environmentFilePath: .init(file), allowMissing: true)
        lookUp = { name in
            if let value = try? process.environmentValue(forName: name) { return value }
            return (try? dotEnv.environmentValue(forName: name)).map(Self.unquoted)
        }
    }

    /// The provider keeps the quotes that people put around values.
    static func unquoted(_ value: String) -> String {
        guard value.count >= 2, let first = value.first, first == value.last, first == "\"" || first == "'" else {
            return value
        }
        return String(value.dropFirst().dropLast())
    }

    func text(_ name: String) -> String? {
        let value = lookUp(name)?.trimmingCharacters(in: .whitespacesAndNewlines)
        return value?.isEmpty == true ? nil : value
    }

    /// Comma separated.
    func list(_ name: String) -> [String]? {
        text(name)?.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }

    func bool(_ name: String) throws -> Bool? {
        guard let text = text(name) else { return nil }
        switch text.lowercased() {
        case "true", "1", "yes", "on": return true
        case "false", "0", "no", "off": return false
        default: throw complaint(name, "must be true or false")
        }
    }

    /// As Docker's own client reads such a variable: anything but `0` and `false` turns it on.
    func isSet(_ name: String) -> Bool {
        guard let text = text(name)?.lowercased() else { return false }
        return !["0", "false", "no", "off"].contains(text)
    }

    func integer(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
        guard let text = text(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw complaint(name, "must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// In Go's syntax: `500ms`, `1m30s`, `1h`.
    func duration(_ name: String) throws -> Duration? {
        guard let text = text(name) else { return nil }
        guard let duration = Duration(goSyntax: text), duration > .zero else {
            throw complaint(name, "must be a duration such as 500ms, 30s or 5m")
        }
        return duration
    }

    /// A path made absolute; `~` is the home directory.
    func path(_ name: String) throws -> String? {
        text(name).map(absolute)
    }

    /// Foundation asks the system's user database and does not look at HOME.
    var home: String { text("HOME") ?? NSHomeDirectory() }

    func absolute(_ path: String) -> String {
        let isHome = path == "~" || path.hasPrefix("~/")
        let expanded = isHome ? home + path.dropFirst() : path
        return URL(filePath: expanded).standardizedFileURL.path
    }

    func complaint(_ name: String, _ what: String) -> ServerError {
        ServerError(.invalidArgument, "\(name): \(what)")
    }
}

extension Duration {
    private static let units: [(suffix: String, duration: Duration)] = [
        ("ns", .nanoseconds(1)), ("us", .microseconds(1)), ("µs", .microseconds(1)), ("ms", .milliseconds(1)),
        ("s", .seconds(1)), ("m", .seconds(60)), ("h", .seconds(3600)),
    ]

    /// Reads what Go's `time.ParseDuration` reads, without a sign; nil for any other text.
    init?(goSyntax text: String) {
        var rest = text[...]
        var total = Duration.zero
        while !rest.isEmpty {
            let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            rest = rest.dropFirst(number.count)
            let suffix = rest.prefix { !$0.isNumber && $0 != "." }
            rest = rest.dropFirst(suffix.count)
            guard let count = Double(number), count < 1e9, let unit = Self.units.first(where: { $0.suffix == suffix })
            else { return nil }
            total += unit.duration * count
        }
        guard !text.isEmpty else { return nil }
        self = total
    }
}
