// SPDX-License-Identifier: Apache-2.0

/// Encodes one value.
struct JSONValueEncoder: Encoder {
    private let output: JSONOutput
    /// Where the value begins, and how deep it is.
    private let start: Int
    private let depth: Int

    init(output: JSONOutput) {
        self.output = output
        start = output.bytes.count
        depth = output.depth
    }

    // Paths are only for messages, and keeping them would cost more than the rest.
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        // A value may write the members of its object in parts.
        let isOpen = output.bytes.count > start
        return KeyedEncodingContainer(JSONObjectContainer<Key>(output: output, reopenedAt: isOpen ? depth + 1 : nil))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        JSONListContainer(output: output)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer {
        JSONSingleContainer(output: output)
    }
}

/// The members of an object.
struct JSONObjectContainer<Key: CodingKey>: KeyedEncodingContainerProtocol {
    private let output: JSONOutput
    private let depth: Int

    init(output: JSONOutput, reopenedAt depth: Int?) {
        self.output = output
        if depth == nil { output.open("{", closedBy: "}") }
        self.depth = depth ?? output.depth
    }

    var codingPath: [any CodingKey] { [] }

    private mutating func write(key: String) {
        output.close(to: depth)
        // Nothing but an object that was just opened ends like this.
        if output.bytes.last != UInt8(ascii: "{") { output.write(literal: ",") }
        output.write(key)
        output.write(literal: ":")
    }

    mutating func encodeNil(forKey key: Key) throws {
        write(key: key.stringValue)
        output.write(literal: "null")
    }

    mutating func encode(_ value: String, forKey key: Key) throws {
        write(key: key.stringValue)
        output.write(value)
    }

    /// All other types, numbers and booleans included, reach their own `encode(to:)`.
    mutating func encode(_ value: some Encodable, forKey key: Key) throws {
        write(key: key.stringValue)
        try output.write(value)
    }

    mutating func nestedContainer<NestedKey: CodingKey>(
        keyedBy keyType: NestedKey.Type,
        forKey key: Key
    ) -> KeyedEncodingContainer<NestedKey> {
        superEncoder(forKey: key).container(keyedBy: keyType)
    }

    mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        superEncoder(forKey: key).unkeyedContainer()
    }

    mutating func superEncoder() -> any Encoder {
        write(key: "super")
        return JSONValueEncoder(output: output)
    }

    mutating func superEncoder(forKey key: Key) -> any Encoder {
        write(key: key.stringValue)
        return JSONValueEncoder(output: output)
    }
}

/// The elements of a list.
struct JSONListContainer: UnkeyedEncodingContainer {
    private let output: JSONOutput
    private let depth: Int
    private(set) var count = 0

    init(output: JSONOutput) {
        self.output = output
        output.open("[", closedBy: "]")
        depth = output.depth
    }

    var codingPath: [any CodingKey] { [] }

    private mutating func beginElement() {
        output.close(to: depth)
        if count > 0 { output.write(literal: ",") }
        count += 1
    }

    mutating func encodeNil() throws {
        beginElement()
        output.write(literal: "null")
    }

    mutating func encode(_ value: some Encodable) throws {
        beginElement()
        try output.write(value)
    }

    mutating func nestedContainer<NestedKey: CodingKey>(
        keyedBy keyType: NestedKey.Type
    ) -> KeyedEncodingContainer<NestedKey> {
        superEncoder().container(keyedBy: keyType)
    }

    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        superEncoder().unkeyedContainer()
    }

    mutating func superEncoder() -> any Encoder {
        beginElement()
        return JSONValueEncoder(output: output)
    }
}

/// A value without members: where numbers, booleans and strings arrive.
struct JSONSingleContainer: SingleValueEncodingContainer {
    let output: JSONOutput

    var codingPath: [any CodingKey] { [] }

    func encodeNil() throws { output.write(literal: "null") }
    func encode(_ value: Bool) throws { output.write(literal: value ? "true" : "false") }
    func encode(_ value: String) throws { output.write(value) }
    func encode(_ value: Double) throws { try output.write(fraction: value) }
    func encode(_ value: Float) throws { try output.write(fraction: value) }
    func encode(_ value: some FixedWidthInteger & Encodable) throws { output.write(number: value) }
    func encode(_ value: some Encodable) throws { try output.write(value) }
}
