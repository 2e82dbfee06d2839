// SPDX-License-Identifier: Apache-2.0

/// A field of an update that tells "leave it" from "clear it".
enum Patch<Value: Decodable & Sendable>: Sendable, Decodable {
    case absent
    case null
    case value(Value)

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        self = container.decodeNil() ? .null : .value(try container.decode(Value.self))
    }

    /// The change as services take it: nil leaves the field, an inner nil clears it.
    var change: Value?? {
        switch self {
        case .absent: .none
        case .null: .some(nil)
        case .value(let value): value
        }
    }
}

extension Patch<String> {
    /// An empty text clears the field as null does.
    var nonEmptyChange: String?? {
        change.map { text in text.flatMap { $0.isEmpty ? nil : $0 } }
    }
}

extension KeyedDecodingContainer {
    /// Preferred by synthesised initialisers, so that an absent field is not an error.
    func decode<Value>(_ type: Patch<Value>.Type, forKey key: Key) throws -> Patch<Value> {
        guard contains(key) else { return .absent }
        return try decodeNil(forKey: key) ? .null : .value(decode(Value.self, forKey: key))
    }
}
