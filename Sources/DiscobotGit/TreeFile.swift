// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A file of a working tree, by the bytes that git knows it by: not every name is text.
struct TreeFile {
    /// Relative to the root.
    let name: [UInt8]
    private let root: String

    init(_ name: some Sequence<UInt8>, in root: String) {
        self.name = Array(name)
        self.root = root
    }

    private enum Kind {
        case file, directory, link
    }

    /// Whether there is anything, a symbolic link included.
    var exists: Bool { kind(name[...]) != nil }

    var isDirectory: Bool { kind(name[...]) == .directory }

    /// What is no directory on the way to it, such as a symbolic link that leads elsewhere; nil for nothing.
    var obstruction: [UInt8]? {
        name.indices.lazy.filter { name[$0] == UInt8(ascii: "/") }.map { name[..<$0] }
            .first { [.file, .link].contains(kind($0)) }.map { Array($0) }
    }

    /// Not a directory, and nothing elsewhere.
    func remove() {
        guard obstruction == nil else { return }
        _ = unlink(path(name[...]))
    }

    /// Removes empty directories that are in its place; whether it has room then.
    func makeRoom() -> Bool {
        guard obstruction == nil else { return false }
        return !isDirectory || removeIfEmpty()
    }

    private func removeIfEmpty() -> Bool {
        for entry in entries where entry.isDirectory { _ = entry.removeIfEmpty() }
        return rmdir(path(name[...])) == 0
    }

    /// The names of what is in the directory and the ones below it, without these, as far as they are wanted.
    func contents(limit: Int, where isWanted: ([UInt8]) -> Bool) -> [[UInt8]] {
        var names: [[UInt8]] = []
        for entry in entries where names.count < limit {
            if entry.isDirectory {
                names += entry.contents(limit: limit - names.count, where: isWanted)
            } else if isWanted(entry.name) {
                names.append(entry.name)
            }
        }
        return names
    }

    private var entries: [TreeFile] {
        guard let directory = opendir(path(name[...])) else { return [] }
        defer { closedir(directory) }
        var entries: [TreeFile] = []
        while let entry = readdir(directory) {
            let found = withUnsafeBytes(of: entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            guard found != Array(".".utf8), found != Array("..".utf8) else { continue }
            entries.append(TreeFile(name + [UInt8(ascii: "/")] + found, in: root))
        }
        return entries
    }

    /// Whether the other one goes on where this ends, as a file that was not written to its end.
    func isBeginning(of other: TreeFile) -> Bool {
        guard let file = open(), let otherFile = other.open() else { return false }
        defer {
            fclose(file)
            fclose(otherFile)
        }
        var (part, otherPart) = ([UInt8](repeating: 0, count: 64 << 10), [UInt8](repeating: 0, count: 64 << 10))
        while case let count = fread(&part, 1, part.count, file), count > 0 {
            guard fread(&otherPart, 1, count, otherFile) == count, part[..<count] == otherPart[..<count] else {
                return false
            }
        }
        return ferror(file) == 0
    }

    /// Whether it is a file, and not open to this process.
    var isUnreadable: Bool {
        guard obstruction == nil, kind(name[...]) == .file else { return false }
        guard let file = open() else { return errno == EACCES || errno == EPERM }
        fclose(file)
        return false
    }

    /// Nil for what is no regular file.
    private func open() -> UnsafeMutablePointer<FILE>? {
        guard obstruction == nil, kind(name[...]) == .file else { return nil }
        // O_NONBLOCK: opening a fifo must not wait for a writer.
        let descriptor = Glibc.open(path(name[...]), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        return fdopen(descriptor, "r")
    }

    /// What is no directory and no link counts as a file. Nil for nothing.
    private func kind(_ name: ArraySlice<UInt8>) -> Kind? {
        var status = stat()
        guard lstat(path(name), &status) == 0 else { return nil }
        return switch status.st_mode & S_IFMT {
        case S_IFDIR: .directory
        case S_IFLNK: .link
        default: .file
        }
    }

    private func path(_ name: ArraySlice<UInt8>) -> [CChar] {
        (Array("\(root)/".utf8) + name + [0]).map { CChar(bitPattern: $0) }
    }
}
