// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// How large what a chunk carries may be, in bytes of UTF-8, so that nobody who passes it on needs much memory.
enum ChunkLimits {
    /// Of a delta, which is split, and of the text of an error.
    static let text = 64 << 10
    /// Of the input or output of a tool.
    static let value = 1 << 20
    static let cutMark = "… [cut]"
}

extension String {
    /// The text in pieces of at most `limit` bytes, never within a character's code.
    func pieces(_ limit: Int) -> [String] {
        guard utf8.count > limit else { return [self] }
        var pieces: [String] = []
        var rest = self[...]
        while rest.utf8.count > limit {
            let end = rest.boundary(limit)
            pieces.append(String(rest[..<end]))
            rest = rest[end...]
        }
        return rest.isEmpty ? pieces : pieces + [String(rest)]
    }

    /// The text, or its beginning with a mark where more than `limit` bytes were cut.
    func bounded(_ limit: Int) -> String {
        utf8.count <= limit ? self : self[..<self[...].boundary(limit)] + ChunkLimits.cutMark
    }
}

extension Substring {
    /// The last place between two scalars that has at most `limit` bytes before it.
    fileprivate func boundary(_ limit: Int) -> Index {
        var end = utf8.index(startIndex, offsetBy: limit)
        while end > startIndex, end.samePosition(in: base.unicodeScalars) == nil { end = utf8.index(before: end) }
        return end
    }
}

extension JSONValue {
    /// The value with its long texts cut and its last elements left out, so that about `limit` bytes remain.
    func bounded(_ limit: Int) -> JSONValue {
        var budget = limit
        return bounded(&budget)
    }

    private func bounded(_ budget: inout Int) -> JSONValue {
        budget -= 8
        switch self {
        case .string(let text):
            let kept = text.bounded(max(budget, 0))
            budget -= kept.utf8.count
            return .string(kept)
        case .list(let list):
            var kept: [JSONValue] = []
            for element in list where budget > 0 { kept.append(element.bounded(&budget)) }
            return .list(kept)
        case .object(let fields):
            var kept: [(String, JSONValue)] = []
            for (name, value) in fields where budget > 0 {
                budget -= name.utf8.count
                kept.append((name, value.bounded(&budget)))
            }
            return .object(kept)
        default: return self
        }
    }
}
