// SPDX-License-Identifier: Apache-2.0

extension GitRepository {
    /// The branch, and the changes in the index and the working tree. Untracked files are listed one by one.
    package func status() async throws -> GitStatus {
        let output = try await command.run([
            "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--find-renames",
        ])
        return GitStatus(porcelain: output.bytes)
    }
}

extension GitStatus {
    /// Parses `git status --porcelain=v2 --branch -z`.
    init(porcelain bytes: [UInt8]) {
        var records = NULFields(bytes)
        while let record = records.next() {
            switch record.first.map(Unicode.Scalar.init) {
            case "#": readHeader(record.dropFirst(2))
            case "1": readChange(record, precedingFields: 8, oldPath: nil)
            // The former name is a record of its own.
            case "2": readChange(record, precedingFields: 9, oldPath: records.next()?.text)
            case "u": readConflict(record)
            case "?": untracked.append(record.dropFirst(2).text)
            default: break
            }
        }
        isClean = staged.isEmpty && unstaged.isEmpty && untracked.isEmpty
    }

    private mutating func readHeader(_ header: ArraySlice<UInt8>) {
        let words = header.split(separator: UInt8(ascii: " "), maxSplits: 1).map(\.text)
        guard let name = words.first, let value = words.last, words.count == 2 else { return }
        switch name {
        case "branch.oid" where value != "(initial)":
            commit = value
            commitShort = String(value.prefix(GitCommit.shortLength))
        case "branch.head":
            branch = value == "(detached)" ? "HEAD" : value
        case "branch.ab":
            let counts = value.split(separator: " ").compactMap { Int($0) }
            (ahead, behind) = (counts.first ?? 0, abs(counts.last ?? 0))
        default:
            break
        }
    }

    /// `1 XY …` and `2 XY …`: X is the state of the index, Y of the working tree.
    private mutating func readChange(_ record: ArraySlice<UInt8>, precedingFields: Int, oldPath: String?) {
        let path = Self.path(of: record, precedingFields: precedingFields)
        let letters = record.dropFirst(2).prefix(2)
        if let letter = letters.first, letter != UInt8(ascii: ".") {
            staged.append(GitFileChange(path: path, letter: letter, oldPath: oldPath))
        }
        if let letter = letters.last, letter != UInt8(ascii: ".") {
            unstaged.append(GitFileChange(path: path, letter: letter, oldPath: oldPath))
        }
    }

    private mutating func readConflict(_ record: ArraySlice<UInt8>) {
        hasConflicts = true
        let path = Self.path(of: record, precedingFields: 10)
        unstaged.append(GitFileChange(path: path, letter: UInt8(ascii: "U"), oldPath: nil))
    }

    private static func path(of record: ArraySlice<UInt8>, precedingFields: Int) -> String {
        let space = UInt8(ascii: " ")
        let fields = record.split(separator: space, maxSplits: precedingFields, omittingEmptySubsequences: false)
        return fields.dropFirst(precedingFields).first?.text ?? ""
    }
}

extension GitFileChange {
    fileprivate init(path: String, letter: UInt8, oldPath: String?) {
        let status = GitChange(letter: letter)
        self.init(path: path, status: status, oldPath: status.isMove ? oldPath : nil)
    }
}
