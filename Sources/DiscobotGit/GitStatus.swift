// SPDX-License-Identifier: Apache-2.0

/// What happened to a file, in the words of the API.
package enum GitChange: String, Encodable, Sendable {
    case added, modified, deleted, renamed, copied, unmerged, typechanged, unknown

    /// From the status letter git uses in all its machine formats.
    init(letter: UInt8) {
        self =
            switch Unicode.Scalar(letter) {
            case "A": .added
            case "M": .modified
            case "D": .deleted
            case "R": .renamed
            case "C": .copied
            case "U": .unmerged
            case "T": .typechanged
            default: .unknown
            }
    }

    /// Whether there is an old path.
    var isMove: Bool { self == .renamed || self == .copied }
}

/// One changed file of a ``GitStatus``.
package struct GitFileChange: Encodable, Equatable, Sendable {
    package let path: String
    package let status: GitChange
    /// The former name of a renamed or the origin of a copied file.
    package let oldPath: String?
}

/// The state of a working copy. A file in conflict is listed once, as unstaged and `unmerged`.
package struct GitStatus: Encodable, Equatable, Sendable {
    /// `HEAD` when detached.
    package internal(set) var branch = ""
    /// The full sha, empty before the first commit.
    package internal(set) var commit = ""
    package internal(set) var commitShort = ""
    /// Commits the upstream branch lacks; 0 without one.
    package internal(set) var ahead = 0
    /// Commits only the upstream branch has; 0 without one.
    package internal(set) var behind = 0
    package internal(set) var staged: [GitFileChange] = []
    package internal(set) var unstaged: [GitFileChange] = []
    package internal(set) var untracked: [String] = []
    package internal(set) var isClean = true
    package internal(set) var hasConflicts = false
}
