// SPDX-License-Identifier: Apache-2.0

package import Hummingbird
package import NIOCore

/// What Hummingbird keeps for each request.
package struct AppRequestContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    /// Of the connection.
    package let eventLoop: any EventLoop

    package init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        eventLoop = source.channel.eventLoop
    }
}
