// SPDX-License-Identifier: Apache-2.0

/// Any JSON: the examples in the route table, and stored texts.
enum JSONValue: Sendable, Encodable {
    case string(String)
    case bool(Bool)
    case number(Int64)
    case null
    case list([JSONValue])
    case object([(String, JSONValue)])

    private struct FieldName: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    func encode(to encoder: any Encoder) throws {
        if case .object(let fields) = self {
            var container = encoder.container(keyedBy: FieldName.self)
            for (name, value) in fields { try container.encode(value, forKey: FieldName(stringValue: name)) }
            return
        }
        var single = encoder.singleValueContainer()
        switch self {
        case .string(let text): try single.encode(text)
        case .bool(let bool): try single.encode(bool)
        case .number(let number): try single.encode(number)
        case .null: try single.encodeNil()
        case .list(let list): try single.encode(list)
        case .object: break
        }
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByNilLiteral {
    init(stringLiteral value: String) { self = .string(value) }
    init(booleanLiteral value: Bool) { self = .bool(value) }
    init(nilLiteral: ()) { self = .null }
}

extension JSONValue: ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    init(arrayLiteral elements: JSONValue...) { self = .list(elements) }
    init(dictionaryLiteral elements: (String, JSONValue)...) { self = .object(elements) }
}

extension JSONValue: Decodable {
    init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: FieldName.self) {
            self = .object(
                try container.allKeys.map { ($0.stringValue, try container.decode(JSONValue.self, forKey: $0)) }
            )
            return
        }
        let single = try decoder.singleValueContainer()
        if single.decodeNil() {
            self = .null
        } else if let bool = try? single.decode(Bool.self) {
            self = .bool(bool)
        } else if let number = try? single.decode(Int64.self) {
            self = .number(number)
        } else if let text = try? single.decode(String.self) {
            self = .string(text)
        } else {
            self = .list(try single.decode([JSONValue].self))
        }
    }
}
