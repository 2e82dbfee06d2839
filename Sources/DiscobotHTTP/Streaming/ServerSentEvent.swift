// SPDX-License-Identifier: Apache-2.0

/// One frame of an event stream, as the WHATWG HTML standard §9.2 defines it.
package struct ServerSentEvent: Sendable {
    private let id: String?
    private let event: String?
    private let data: String

    /// - Parameters:
    ///   - id: what the client resumes with; must not contain a line break.
    ///   - event: the type; must not contain a line break.
    ///   - data: any text.
    package init(id: String? = nil, event: String? = nil, data: String) {
        self.id = id
        self.event = event
        self.data = data
    }

    package var bytes: [UInt8] {
        var text = ""
        if let id { text += "id: \(id)\n" }
        if let event { text += "event: \(event)\n" }
        // CR and LF only: other characters that end a line elsewhere do not end one here.
        for line in data.split(omittingEmptySubsequences: false, whereSeparator: { ["\n", "\r", "\r\n"].contains($0) })
        {
            text += "data: \(line)\n"
        }
        text += "\n"
        return Array(text.utf8)
    }

    /// A frame that clients ignore; it keeps the line alive.
    package static let comment = Array(":\n\n".utf8)
}
