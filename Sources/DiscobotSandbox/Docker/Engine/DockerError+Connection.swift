// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOPosix
import NIOSSL

extension DockerError {
    /// Why nobody answers, as far as the error of the connection tells.
    init(connectingTo address: DockerAddress, _ error: any Error) {
        let place = address.description
        let number = Self.systemErrors(error).first
        if number == EACCES || number == EPERM {
            self.init(
                .unreachable,
                "the server's user may not use \(place)",
                remedy: "Let it (usermod -aG docker USER, then log in again).",
                cause: "\(error)"
            )
        } else if error is NIOSSLError || error is NIOSSLExtraError || error is BoringSSLError {
            self.init(
                .unreachable,
                "the Docker Engine at \(place) and this server do not accept each other's certificates",
                remedy:
                    "Check DOCKER_CERT_PATH (ca.pem, cert.pem and key.pem), DOCKER_TLS_VERIFY, and whether they have "
                    + "expired.",
                cause: "\(error)"
            )
        } else {
            self.init(.unreachable, "no Docker Engine answers at \(place)", cause: "\(error)")
        }
    }

    /// A name stands for several addresses, of which each may fail in its own way.
    private static func systemErrors(_ error: any Error) -> [CInt] {
        if let error = error as? IOError { return [error.errnoCode] }
        guard let error = error as? NIOConnectionError else { return [] }
        return error.connectionErrors.flatMap { systemErrors($0.error) }
    }
}
