// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// The limits of a workspace's sandboxes as a request has them: a name that nobody knows is refused, as a limit that is
/// misspelt would not hold.
struct LimitsRequest: Decodable {
    let limits: Workspace.Limits

    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        let names = try decoder.container(keyedBy: Name.self).allKeys.map(\.stringValue)
        if let unknown = names.sorted().first(where: { !Workspace.Limits.names.contains($0) }) {
            let known = Workspace.Limits.names.joined(separator: ", ")
            throw ServerError.invalidArgument("limits has no field \(unknown.prefix(100)); it has \(known)")
        }
        limits = try Workspace.Limits(from: decoder)
        if let problem = limits.problem { throw ServerError.invalidArgument(problem) }
    }
}
