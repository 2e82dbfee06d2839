// SPDX-License-Identifier: Apache-2.0

package import Hummingbird
import NIOCore

/// What Hummingbird keeps for each request.
package struct AppRequestContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    let channel: any Channel

    package init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }
}
