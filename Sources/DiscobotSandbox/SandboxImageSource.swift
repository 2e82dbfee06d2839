// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

/// What a provider has besides whose sandboxes run an image that may have to be fetched first.
package protocol SandboxImageSource: Sendable {
    /// How settings name it.
    var imageName: String { get }
    /// Throws `SandboxError`: `unavailable` while nobody can tell.
    func isImagePresent() async throws -> Bool
    /// Fetches the image, and reports as often as there is something to tell. All who do it at once share one pull, which
    /// goes on when a caller is cancelled and ends by itself. Throws `SandboxError`: `unavailable` while nobody is there to
    /// do it.
    func pullImage(_ report: @escaping @Sendable (SandboxImageProgress) -> Void) async throws
    /// The sandboxes that run another image than the one that its name means now. Throws `SandboxError`.
    func outdatedSandboxes() async throws -> [ID<Session>]
}

/// How much of an image has come.
package struct SandboxImageProgress: Sendable, Equatable {
    package let bytes: Int64
    /// Nil while nobody knows.
    package let totalBytes: Int64?

    package init(bytes: Int64, totalBytes: Int64?) {
        self.bytes = bytes
        self.totalBytes = totalBytes
    }
}
