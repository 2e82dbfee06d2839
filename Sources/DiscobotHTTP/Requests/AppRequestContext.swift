// SPDX-License-Identifier: Apache-2.0

package import Hummingbird
package import NIOCore

/// What Hummingbird keeps for each request.
package struct AppRequestContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    /// The connection.
    package let channel: any Channel

    package init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }
}
