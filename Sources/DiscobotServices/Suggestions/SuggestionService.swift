// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Helps to type the path of a repository on the server's machine.
package struct SuggestionService: Sendable {
    private static let maximumCount = 10

    private let isEnabled: Bool
    private let home: String

    package init(isEnabled: Bool, home: String) {
        self.isEnabled = isEnabled
        self.home = home
    }

    package struct Suggestion: Sendable, Equatable {
        package let path: String
        /// Whether there is a git repository.
        package let isRepository: Bool
    }

    /// The directories below a directory, or those that a partly typed path may become; none when switched off.
    package func paths(for typed: String) -> [Suggestion] {
        guard isEnabled, typed.hasPrefix("/") || typed == "~" || typed.hasPrefix("~/") else { return [] }
        let path = typed.hasPrefix("~") ? home + typed.dropFirst() : typed
        // A dot may be the beginning of a hidden name.
        let isComplete = isDirectory(path) && !path.hasSuffix("/.") && !path.hasSuffix("/..")
        let (directory, prefix) = isComplete ? (path, "") : split(path)
        return names(in: directory)
            .filter { $0.hasPrefix(prefix) && ($0.hasPrefix(".") == prefix.hasPrefix(".")) }
            .sorted()
            .lazy
            .map { directory.hasSuffix("/") ? directory + $0 : "\(directory)/\($0)" }
            .filter(isDirectory)
            .prefix(Self.maximumCount)
            .map { Suggestion(path: abbreviated($0, as: typed), isRepository: exists($0 + "/.git")) }
    }

    private func split(_ path: String) -> (directory: String, prefix: String) {
        guard let slash = path.lastIndex(of: "/") else { return (path, "") }
        let directory = path[..<slash]
        return (directory.isEmpty ? "/" : String(directory), String(path[path.index(after: slash)...]))
    }

    private func names(in directory: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    }

    private func isDirectory(_ path: String) -> Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue
    }

    private func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: path)
    }

    private func abbreviated(_ path: String, as typed: String) -> String {
        typed.hasPrefix("~") ? "~" + path.dropFirst(home.count) : path
    }
}
