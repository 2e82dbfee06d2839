// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import FoundationEssentials

/// JSON text that becomes part of an answer.
struct StoredJSON: Encodable {
    let text: String

    func encode(to encoder: any Encoder) throws {
        try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8)).encode(to: encoder)
    }
}
