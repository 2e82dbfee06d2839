// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// JSON as a test looks at it: what is missing is null, down any path.
package struct JSON: Equatable, CustomStringConvertible, @unchecked Sendable {
    // Made by JSONSerialization and never changed.
    private let value: NSObject

    private init(any value: Any?) {
        self.value = value as? NSObject ?? NSNull()
    }

    package init(_ data: Data) {
        self.init(any: try? JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed))
    }

    package subscript(_ key: String) -> JSON { JSON(any: (value as? [String: Any])?[key]) }

    package subscript(_ index: Int) -> JSON {
        guard let list = value as? [Any], list.indices.contains(index) else { return JSON(any: nil) }
        return JSON(any: list[index])
    }

    package var string: String? { value as? String }
    package var int: Int? { (value as? NSNumber)?.intValue }
    package var bool: Bool? { (value as? NSNumber)?.boolValue }
    package var list: [JSON] { (value as? [Any])?.map { JSON(any: $0) } ?? [] }
    package var isList: Bool { value is [Any] }
    package var isNull: Bool { value is NSNull }
    package var keys: Set<String> { Set((value as? [String: Any])?.keys.map { $0 } ?? []) }

    package var description: String { "\(value)" }
}
