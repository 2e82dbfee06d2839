// SPDX-License-Identifier: Apache-2.0

/// Any JSON.
package enum JSONValue: Sendable, Encodable {
    case string(String)
    case bool(Bool)
    case number(Int64)
    case fraction(Double)
    case null
    case list([JSONValue])
    case object([(String, JSONValue)])

    private struct FieldName: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    package func encode(to encoder: any Encoder) throws {
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
        case .fraction(let number): try single.encode(number)
        case .null: try single.encodeNil()
        case .list(let list): try single.encode(list)
        case .object: break
        }
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByNilLiteral {
    package init(stringLiteral value: String) { self = .string(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(nilLiteral: ()) { self = .null }
}

extension JSONValue: ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    package init(arrayLiteral elements: JSONValue...) { self = .list(elements) }
    package init(dictionaryLiteral elements: (String, JSONValue)...) { self = .object(elements) }
}

extension JSONValue: Decodable {
    package init(from decoder: any Decoder) throws {
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
        } else if let number = try? single.decode(Double.self) {
            self = .fraction(number)
        } else if let text = try? single.decode(String.self) {
            self = .string(text)
        } else {
            self = .list(try single.decode([JSONValue].self))
        }
    }
}

extension JSONValue: Equatable {
    /// The order of an object's fields does not matter.
    package static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.string(let left), .string(let right)): left == right
        case (.bool(let left), .bool(let right)): left == right
        case (.number(let left), .number(let right)): left == right
        case (.fraction(let left), .fraction(let right)): left == right
        case (.null, .null): true
        case (.list(let left), .list(let right)): left == right
        case (.object(let left), .object(let right)):
            Dictionary(left, uniquingKeysWith: { $1 }) == Dictionary(right, uniquingKeysWith: { $1 })
        default: false
        }
    }
}

extension JSONValue {
    /// The value of an object's field; nil for anything else.
    package subscript(_ name: String) -> JSONValue? {
        guard case .object(let fields) = self else { return nil }
        return fields.first { $0.0 == name }?.1
    }

    package var text: String? {
        if case .string(let text) = self { text } else { nil }
    }

    package var elements: [JSONValue]? {
        if case .list(let elements) = self { elements } else { nil }
    }
}
