// SPDX-License-Identifier: Apache-2.0

import DiscobotAgent

/// The runtime inside every sandbox.
@main
struct DiscobotAgentCommand {
    static func main() async throws {}
}
