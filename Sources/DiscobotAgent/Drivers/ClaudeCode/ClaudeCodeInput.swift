// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel

/// The lines that the program is given.
enum ClaudeCodeInput {
    static func message(_ message: UIMessage) throws -> [UInt8] {
        try line([
            "type": "user",
            "message": ["role": "user", "content": content(of: message)],
            "parent_tool_use_id": nil,
            "session_id": "",
        ])
    }

    static func answer(_ response: JSONValue, to request: String) throws -> [UInt8] {
        try line([
            "type": "control_response",
            "response": ["subtype": "success", "request_id": .string(request), "response": response],
        ])
    }

    static func refusal(of request: String) throws -> [UInt8] {
        try line([
            "type": "control_response",
            "response": ["subtype": "error", "request_id": .string(request), "error": "not supported"],
        ])
    }

    static func interrupt() throws -> [UInt8] {
        try line(["type": "control_request", "request_id": "interrupt", "request": ["subtype": "interrupt"]])
    }

    private static func line(_ value: JSONValue) throws -> [UInt8] {
        try JSONEncoding.bytes(of: value) + [UInt8(ascii: "\n")]
    }

    private static func content(of message: UIMessage) -> JSONValue {
        let hasFiles = message.parts.contains { if case .file = $0 { true } else { false } }
        guard hasFiles else { return .string(message.text) }
        return .list(message.parts.compactMap(block))
    }

    private static func block(_ part: MessagePart) -> JSONValue? {
        switch part {
        case .text(let text): return text.isEmpty ? nil : textBlock(text)
        case .file(let url, let filename, let mediaType):
            guard let data = base64(url), let kind = kind(of: mediaType) else {
                return textBlock("[file \(filename ?? mediaType)\(url.hasPrefix("data:") ? "" : ": \(url)")]")
            }
            return [
                "type": .string(kind),
                "source": ["type": "base64", "media_type": .string(mediaType), "data": .string(data)],
            ]
        default: return nil
        }
    }

    private static func textBlock(_ text: String) -> JSONValue { ["type": "text", "text": .string(text)] }

    /// What the model can see itself.
    private static func kind(of mediaType: String) -> String? {
        switch mediaType {
        case "image/png", "image/jpeg", "image/gif", "image/webp": "image"
        case "application/pdf": "document"
        default: nil
        }
    }

    /// The data of a URL that holds it.
    private static func base64(_ url: String) -> String? {
        guard url.hasPrefix("data:"), let comma = url.firstIndex(of: ","), url[..<comma].hasSuffix(";base64") else {
            return nil
        }
        return String(url[url.index(after: comma)...])
    }
}
