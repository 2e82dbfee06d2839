// SPDX-License-Identifier: Apache-2.0

import DiscobotGit

/// The files below `.discobot/` that say what can be run in a working copy.
struct ConventionFiles: Sendable {
    /// One of them.
    struct File: Sendable, Equatable {
        let id: String
        let name: String
        /// Relative to the working copy.
        let path: String
        let isExecutable: Bool
        let frontMatter: FrontMatter
    }

    /// As many files of a directory are looked at.
    static let limit = 200
    /// So many bytes of each.
    private static let headLimit = 16 << 10
    private static let extensions = [".sh", ".bash", ".zsh", ".py", ".js", ".ts", ".rb", ".pl", ".php"]

    private let directory: WorkingDirectory
    private let folder: String

    /// - Parameter folder: relative to the working copy at `root`.
    init(_ folder: String, in root: String) {
        directory = WorkingDirectory(root)
        self.folder = folder
    }

    /// Sorted by file name, each id once; what cannot be read is left out.
    func all() -> [File] {
        guard let listing = try? directory.list(folder, includingHidden: false) else { return [] }
        var ids: Set<String> = []
        return listing.entries.lazy.filter { $0.type == .file }.prefix(Self.limit).compactMap { entry in
            guard let id = Self.id(of: entry.name), !ids.contains(id) else { return nil }
            let path = "\(folder)/\(entry.name)"
            guard let program = try? directory.program(path, limit: Self.headLimit) else { return nil }
            ids.insert(id)
            return File(
                id: id,
                name: entry.name,
                path: path,
                isExecutable: program.isExecutable,
                frontMatter: FrontMatter(program.head, isWhole: program.isWhole)
            )
        }
    }

    /// What a file is called where it is used; nil when nothing of its name can be.
    static func id(of fileName: String) -> String? {
        var name = fileName[...]
        if let known = extensions.first(where: name.hasSuffix) { name = name.dropLast(known.count) }
        let kept = name.lowercased().unicodeScalars.compactMap { scalar -> Unicode.Scalar? in
            switch scalar {
            case ".": "-"
            case "a"..."z", "0"..."9", "_", "-": scalar
            default: nil
            }
        }
        let trimmed = kept.drop { $0 == "-" }.reversed().drop { $0 == "-" }.reversed()
        return trimmed.isEmpty ? nil : String(String.UnicodeScalarView(trimmed))
    }
}
