// SPDX-License-Identifier: Apache-2.0

/// A part of a list that can grow, and where the next part begins.
package struct Page<Element: Sendable>: Sendable {
    package let elements: [Element]
    /// Nil at the end of the list.
    package let next: PageCursor?

    package init(elements: [Element], next: PageCursor?) {
        self.elements = elements
        self.next = next
    }
}

/// A position in a list ordered by time and id: the last element already seen.
package struct PageCursor: Sendable, Equatable {
    package let time: Timestamp
    package let id: String

    package init(time: Timestamp, id: String) {
        self.time = time
        self.id = id
    }
}

/// Which part of a list is wanted.
package struct PageRequest: Sendable {
    /// Lists never answer with more elements than this at once.
    package static let maximumLimit = 1000

    package let limit: Int
    package let after: PageCursor?

    package init(limit: Int = maximumLimit, after: PageCursor? = nil) {
        self.limit = min(limit, Self.maximumLimit)
        self.after = after
    }
}
