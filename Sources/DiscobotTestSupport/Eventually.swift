// SPDX-License-Identifier: Apache-2.0

/// Waits for what nobody tells. Throws when it has not come after four minutes, on however busy a machine.
package func eventually(
    file: String = #fileID,
    line: Int = #line,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(240)
    while try await !condition() {
        guard ContinuousClock.now < deadline else {
            throw Shell.Failed(description: "\(file):\(line): this has not come true")
        }
        try await Task.sleep(for: .milliseconds(10))
    }
}
