// SPDX-License-Identifier: Apache-2.0

/// Parses `git diff --raw --numstat --patch -z`: the raw records, the line counts, an empty field, and then the
/// patches as text. Names are taken from the first two, where any byte is possible; the patches quote them and are
/// matched by their order.
enum GitDiffParser {
    /// Throws `.failed` when the parts do not fit together.
    ///
    /// - Parameter isCut: whether the end is missing; then some patches are empty, or whole files are missing.
    static func parse(_ bytes: [UInt8], isCut: Bool = false) throws(GitError) -> [GitFileDiff] {
        var fields = NULFields(bytes)
        var records: [Record] = []
        var counts: [ArraySlice<UInt8>: LineCount] = [:]
        do throws(GitError) {
            while let field = fields.next(), !field.isEmpty {
                if field.first == UInt8(ascii: ":") {
                    records.append(try Record(field, &fields))
                } else {
                    let (path, count) = try LineCount.parse(field, &fields)
                    counts[path] = count
                }
            }
        } catch  where isCut {
            // The last one is not whole.
        }
        var sections = patchSections(fields.rest)[...]
        if isCut { sections = sections.dropLast() }
        var diffs: [GitFileDiff] = []
        for record in records {
            if isCut, sections.count < record.sectionCount {
                sections = []
                append(record.diff(counts[record.path] ?? LineCount(), []), to: &diffs)
                continue
            }
            guard sections.count >= record.sectionCount else { throw unexpected }
            let patch = sections.prefix(record.sectionCount)
            sections = sections.dropFirst(record.sectionCount)
            append(record.diff(counts[record.path] ?? LineCount(), patch), to: &diffs)
        }
        guard sections.isEmpty else { throw unexpected }
        return diffs
    }

    /// A file in conflict comes twice: as unmerged, and with the difference to our side. They become one.
    private static func append(_ diff: GitFileDiff, to diffs: inout [GitFileDiff]) {
        guard let last = diffs.last, last.status == .unmerged, last.path == diff.path else {
            diffs.append(diff)
            return
        }
        diffs[diffs.count - 1] = GitFileDiff(
            path: diff.path,
            oldPath: diff.oldPath,
            status: .unmerged,
            binary: diff.binary,
            additions: diff.additions,
            deletions: diff.deletions,
            patch: diff.patch
        )
    }

    /// Cuts before each header. In a patch every line of a file has a prefix, so no content looks like a header.
    static func patchSections(_ patches: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var starts: [Int] = []
        var line = patches.startIndex
        while line < patches.endIndex {
            let rest = patches[line...]
            if rest.starts(with: "diff --git ".utf8) || rest.starts(with: unmergedHeader.utf8) { starts.append(line) }
            line = (rest.firstIndex(of: UInt8(ascii: "\n")) ?? patches.endIndex - 1) + 1
        }
        return zip(starts, starts.dropFirst() + [patches.endIndex]).map { patches[$0..<$1] }
    }

    fileprivate static let unmergedHeader = "* Unmerged path "
    fileprivate static let unexpected = GitError(.failed, "git printed a diff in an unexpected format")
}

extension GitDiffParser {
    /// `:<old mode> <new mode> <old sha> <new sha> <status>[<score>]`, then one or two paths.
    private struct Record {
        let status: GitChange
        let path: ArraySlice<UInt8>
        let oldPath: ArraySlice<UInt8>?
        /// A file that becomes another type, such as a symbolic link, is a deletion and a creation.
        let sectionCount: Int

        init(_ field: ArraySlice<UInt8>, _ fields: inout NULFields) throws(GitError) {
            let words = field.dropFirst().split(separator: UInt8(ascii: " "))
            guard words.count == 5, let letter = words[4].first, let first = fields.next() else { throw unexpected }
            status = GitChange(letter: letter)
            if status.isMove {
                guard let second = fields.next() else { throw unexpected }
                (oldPath, path) = (first, second)
            } else {
                (oldPath, path) = (nil, first)
            }
            sectionCount = status == .typechanged ? 2 : 1
        }

        func diff(_ count: LineCount, _ sections: ArraySlice<ArraySlice<UInt8>>) -> GitFileDiff {
            let patches = sections.filter { !$0.starts(with: unmergedHeader.utf8) }
            return GitFileDiff(
                path: path.text,
                oldPath: oldPath?.text ?? "",
                status: status,
                binary: count.isBinary,
                additions: count.additions,
                deletions: count.deletions,
                patch: patches.map(\.text).joined()
            )
        }
    }

    /// `<additions> TAB <deletions> TAB <path>`; hyphens for binary files, an empty path and two more for a rename.
    private struct LineCount {
        var additions = 0
        var deletions = 0
        var isBinary = false

        static func parse(
            _ field: ArraySlice<UInt8>,
            _ fields: inout NULFields
        ) throws(GitError) -> (path: ArraySlice<UInt8>, count: LineCount) {
            let parts = field.split(separator: UInt8(ascii: "\t"), maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { throw unexpected }
            var path = parts[2]
            if path.isEmpty {
                guard fields.next() != nil, let newPath = fields.next() else { throw unexpected }
                path = newPath
            }
            let (additions, deletions) = (Int(parts[0].text), Int(parts[1].text))
            let count = LineCount(
                additions: additions ?? 0,
                deletions: deletions ?? 0,
                isBinary: additions == nil
            )
            return (path, count)
        }
    }
}
