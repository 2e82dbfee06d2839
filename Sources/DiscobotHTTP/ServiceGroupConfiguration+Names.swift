// SPDX-License-Identifier: Apache-2.0

package import Logging
package import ServiceLifecycle
package import UnixSignals

extension ServiceGroupConfiguration {
    /// Services under the names of their types. Without names the library writes out all that the services hold, which
    /// takes longer than the rest of a start.
    package init(named services: [any Service], gracefulShutdownSignals: [UnixSignal] = [], logger: Logger) {
        self.init(
            services: services.map { ServiceConfiguration(service: $0, serviceName: "\(type(of: $0))") },
            gracefulShutdownSignals: gracefulShutdownSignals,
            logger: logger
        )
    }
}
