// SPDX-License-Identifier: Apache-2.0

package import Hummingbird

/// What Hummingbird keeps for each request.
package struct AppRequestContext: RequestContext {
    package var coreContext: CoreRequestContextStorage

    package init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
    }
}
