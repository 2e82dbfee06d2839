// SPDX-License-Identifier: Apache-2.0

import SystemPackage

// The lines of a completion's file, without holding them all.
extension FileDescriptor {
    private static var blockSize: Int { 256 << 10 }

    /// Gives `body` the whole lines before `end`, without their breaks, until it returns false.
    func forEachLine(before end: Int, _ body: (ArraySlice<UInt8>) throws -> Bool) throws {
        var (partial, start): ([UInt8], Int) = ([], 0)
        while start < end {
            let block = try read(start..<min(start + Self.blockSize, end))
            guard !block.isEmpty else { throw Errno.ioError }
            start += block.count
            var rest = block[...]
            while let lineEnd = rest.lineEnd {
                let line = partial.isEmpty ? rest[..<lineEnd] : (partial + rest[..<lineEnd])[...]
                partial = []
                rest = rest[(lineEnd + 1)...]
                guard try body(line) else { return }
            }
            partial += rest
        }
    }

    /// The end of the last whole line before `end`; 0 when there is none.
    func lineEnd(before end: Int) throws -> Int {
        var end = end
        while end > 0 {
            let start = max(0, end - 64 << 10)
            if let index = try read(start..<end).lastIndex(of: 0x0A) { return start + index + 1 }
            end = start
        }
        return 0
    }

    func read(_ range: Range<Int>) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        let count = try bytes.withUnsafeMutableBytes {
            try read(fromAbsoluteOffset: Int64(range.lowerBound), into: $0)
        }
        return Array(bytes.prefix(count))
    }
}
