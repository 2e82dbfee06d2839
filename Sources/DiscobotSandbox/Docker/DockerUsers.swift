// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Who a sandbox's processes are.
///
/// They must be able to read the workspace and to share a socket with the server, so on this machine they are the
/// server's own user; where that is root they are somebody else, as root would have too much.
struct DockerUsers: Sendable, Equatable {
    /// On this machine.
    let outside: DockerUser
    /// In the container.
    let inside: DockerUser
    /// How users inside become users outside, where the engine's own way would not do.
    let namespace: String?

    init(of engine: DockerInfo, server: DockerUser = .server) {
        switch (engine.isRootless, engine.isPodman) {
        case (true, true):
            // Podman lets one user inside be the engine's own.
            (outside, inside, namespace) = (server, server, "keep-id")
        case (true, false):
            // The engine's user is root inside and nobody else can be; it has no more rights by that.
            (outside, inside, namespace) = (server, DockerUser(uid: 0, gid: 0), nil)
        case (false, _):
            let user = server.uid == 0 ? DockerUser(uid: 1000, gid: 1000) : server
            (outside, inside, namespace) = (user, user, engine.isRemapped ? "host" : nil)
        }
    }

    /// Those of an image that is used as it is.
    init(_ user: DockerUser) {
        (outside, inside, namespace) = (user, user, nil)
    }
}

extension DockerUser {
    static var server: DockerUser { DockerUser(uid: Int(geteuid()), gid: Int(getegid())) }
}
