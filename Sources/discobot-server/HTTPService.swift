// SPDX-License-Identifier: Apache-2.0

import CLinux
import DiscobotAPI
import DiscobotHTTP
import DiscobotModel
import Glibc
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle

/// Serves HTTP; waits for a port that another process still has.
struct HTTPService: Service, CustomStringConvertible {
    let options: ServerOptions
    let logger: Logger
    let onRunning: @Sendable (_ port: Int) async -> Void
    let responder: @Sendable () -> any HTTPResponder<AppRequestContext>

    var description: String { "HTTP" }

    func run() async throws {
        let deadline = ContinuousClock.now + options.startTimeout
        var hasSaidSo = false
        while true {
            do {
                return try await makeApplication(responder()).run()
            } catch let error as IOError where error.errnoCode == EADDRINUSE {
                guard ContinuousClock.now < deadline else { throw Self.portInUse(options.port, error) }
                if !hasSaidSo {
                    logger.notice(
                        "the port is in use; waiting for it",
                        metadata: ["port": "\(options.port)", "seconds": "\(options.startTimeout.components.seconds)"]
                    )
                    hasSaidSo = true
                }
                try await Task.sleep(for: .milliseconds(500))
                if Task.isShuttingDownGracefully { return }
            } catch let error as IOError where [EADDRNOTAVAIL, EACCES].contains(error.errnoCode) {
                throw Self.unusableAddress(options, error)
            } catch let error as SocketAddressError {
                throw Self.unusableAddress(options, error)
            } catch let error as SocketAddressError.UnknownHost {
                throw Self.unusableAddress(options, error)
            }
        }
    }

    private func makeApplication(_ responder: some HTTPResponder<AppRequestContext>) -> some ApplicationProtocol {
        Application(
            responder: responder,
            server: .upgradableHTTP1,
            configuration: ApplicationConfiguration(address: .hostname(options.host, port: options.port)),
            onServerRunning: { channel in
                // Most of the code that has run so far is not needed again.
                clinux_release_code()
                await onRunning(channel.localAddress?.port ?? options.port)
            },
            logger: logger
        )
    }

    private static func unusableAddress(_ options: ServerOptions, _ error: any Error) -> ServerError {
        ServerError(
            .unavailable,
            "HOST: the server cannot listen on \(options.host) port \(options.port); "
                + "name an address of this machine, and a port above 1023 unless you are root",
            cause: error
        )
    }

    private static func portInUse(_ port: Int, _ error: any Error) -> ServerError {
        ServerError(.unavailable, "PORT: another process uses port \(port); stop it or choose another", cause: error)
    }
}
