// SPDX-License-Identifier: Apache-2.0

/// Waits for what nobody tells; the suite's time limit ends it.
package func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(10)) }
}
