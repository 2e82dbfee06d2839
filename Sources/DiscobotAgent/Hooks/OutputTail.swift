// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The newest part of what a program writes.
final class OutputTail: Sendable {
    private let limit: Int
    private let bytes = Mutex<[UInt8]>([])

    init(limit: Int) {
        self.limit = limit
    }

    func append(_ new: [UInt8]) {
        bytes.withLock { bytes in
            bytes += new
            if bytes.count > 2 * limit { bytes.removeFirst(bytes.count - limit) }
        }
    }

    /// As text that can be shown and stored.
    var text: String {
        let all = bytes.withLock { $0 }
        // A character that was cut in two is left out.
        let kept = all.suffix(limit).drop { all.count > limit && $0 & 0xC0 == 0x80 }
        return String(decoding: kept.filter { $0 != 0 }, as: UTF8.self)
    }
}
