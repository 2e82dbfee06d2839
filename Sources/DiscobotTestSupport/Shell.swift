// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess

/// Prepares what tests need with the usual tools.
package enum Shell {
    package struct Failed: Error, CustomStringConvertible {
        package let description: String
    }

    /// Runs a script of `sh` with positional arguments from `$0` on; returns what it prints, throws when it fails.
    @discardableResult
    package static func run(_ script: String, _ arguments: String...) async throws -> String {
        let result = try await Subprocess.run(
            .name("sh"),
            arguments: Arguments(["-ec", script] + arguments),
            environment: .inherit.updating(["GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"]),
            output: .string(limit: 1 << 20),
            error: .string(limit: 1 << 20)
        )
        guard result.terminationStatus.isSuccess else { throw Failed(description: result.standardError) }
        return result.standardOutput
    }
}
