// SPDX-License-Identifier: Apache-2.0

import Glibc
package import NIOCore

/// Has the kernel ask a peer that says nothing for long whether it is still there: one that has lost its power or its
/// network says no farewell, and whoever waits for it would wait for ever.
package enum KeepAlive {
    /// A vanished peer is noticed after about two minutes, or where something is on its way to it, when the kernel gives
    /// up sending that again.
    private static let options: [(level: NIOBSDSocket.OptionLevel, name: CInt, value: CInt)] = [
        (.socket, SO_KEEPALIVE, 1), (.tcp, TCP_KEEPIDLE, 60), (.tcp, TCP_KEEPINTVL, 15), (.tcp, TCP_KEEPCNT, 4),
    ]

    /// Only on the channel's event loop.
    package static func enable(on channel: any Channel) {
        for (level, name, value) in options {
            let option = ChannelOptions.Types.SocketOption(level: level, name: NIOBSDSocket.Option(rawValue: name))
            // Other sockets than TCP have no such options, and know of their peers' end by themselves.
            try? channel.syncOptions?.setOption(option, value: SocketOptionValue(value))
        }
    }
}
