// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI

/// The names of all files and directories of a working copy, laid out to be searched quickly.
struct FileIndex: Sendable {
    /// So many files are known; more are left out.
    static let limit = 1_000_000

    /// All paths, one behind the other.
    private var bytes: [UInt8] = []
    private var entries: [Entry] = []

    private struct Entry {
        let start: UInt32
        let length: UInt16
        let isDirectory: Bool
        let mask: UInt64
    }

    /// - Parameters:
    ///   - list: paths of files, each ended by a NUL, as git prints them.
    ///   - missing: those of them that are not there, in the same form.
    init(_ list: [UInt8], without missing: [UInt8] = []) {
        bytes.reserveCapacity(list.count + list.count / 4)
        let missing = Set(missing.split(separator: 0))
        var directories: Set<ArraySlice<UInt8>> = []
        var previous: ArraySlice<UInt8> = []
        var start = 0
        while start < list.count, entries.count < Self.limit, bytes.count < Int(UInt32.max) - Int(UInt16.max) {
            guard let end = list[start...].firstIndex(of: 0) else { break }
            let path = list[start..<end]
            start = end + 1
            // Of a file in conflict there are several, and both deleted and new ones may be named twice.
            guard path.count < Int(UInt16.max), !path.elementsEqual(previous), !missing.contains(path) else { continue }
            appendDirectories(of: path, after: previous, &directories)
            append(path, isDirectory: false)
            previous = path
        }
    }

    /// The directories that no path before has been in.
    private mutating func appendDirectories(
        of path: ArraySlice<UInt8>,
        after previous: ArraySlice<UInt8>,
        _ known: inout Set<ArraySlice<UInt8>>
    ) {
        var common = 0
        for (one, other) in zip(path, previous) {
            guard one == other else { break }
            common += 1
        }
        for index in path.indices where path[index] == UInt8(ascii: "/") && index - path.startIndex >= common {
            if known.insert(path[..<index]).inserted { append(path[..<index], isDirectory: true) }
        }
    }

    private mutating func append(_ path: ArraySlice<UInt8>, isDirectory: Bool) {
        var mask: UInt64 = 0
        let start = bytes.count
        for byte in path {
            mask |= FuzzyPattern.bit(FuzzyPattern.lowercased(byte))
            bytes.append(byte)
        }
        entries.append(
            Entry(start: UInt32(start), length: UInt16(path.count), isDirectory: isDirectory, mask: mask)
        )
    }

    var count: Int { entries.count }

    /// The best of those that fit, the best first.
    func search(_ pattern: FuzzyPattern, limit: Int) -> [FileSearchResponse.Result] {
        guard !pattern.isEmpty, limit > 0 else { return [] }
        var found: [(score: Int, entry: Int)] = []
        var threshold = Int.min
        let span = bytes.span
        for index in entries.indices {
            let entry = entries[index]
            guard entry.mask & pattern.mask == pattern.mask else { continue }
            let range = Int(entry.start)..<(Int(entry.start) + Int(entry.length))
            guard let score = pattern.score(span.extracting(range)), score > threshold else { continue }
            found.append((score, index))
            // Kept small, so that a letter that is everywhere costs no sort of everything.
            guard found.count >= 4 * limit else { continue }
            found.sort(by: isBetter)
            found.removeLast(found.count - limit)
            threshold = found.last?.score ?? threshold
        }
        return found.sorted(by: isBetter).prefix(limit).map { result($0.entry, $0.score) }
    }

    private func isBetter(_ one: (score: Int, entry: Int), _ other: (score: Int, entry: Int)) -> Bool {
        if one.score != other.score { return one.score > other.score }
        let (first, second) = (entries[one.entry], entries[other.entry])
        return (first.length, one.entry) < (second.length, other.entry)
    }

    private func result(_ index: Int, _ score: Int) -> FileSearchResponse.Result {
        let entry = entries[index]
        let path = bytes[Int(entry.start)..<(Int(entry.start) + Int(entry.length))]
        return FileSearchResponse.Result(
            path: String(decoding: path, as: UTF8.self),
            type: entry.isDirectory ? "directory" : "file",
            score: score
        )
    }
}
