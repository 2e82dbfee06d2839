// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
package import DiscobotModel
import FoundationEssentials

extension Message {
    package init(_ message: UIMessage, session: ID<Session>, metadata: String? = nil) throws {
        self.init(
            id: message.id,
            sessionID: session,
            role: message.role.rawValue,
            parts: String(decoding: try JSONEncoder().encode(message.parts), as: UTF8.self),
            metadata: metadata,
            createdAt: message.createdAt ?? .now
        )
    }
}

extension UIMessage {
    package init(_ message: Message) throws {
        self.init(
            id: message.id,
            role: Role(rawValue: message.role) ?? .user,
            parts: try JSONDecoder().decode([MessagePart].self, from: Data(message.parts.utf8)),
            createdAt: message.createdAt
        )
    }
}
