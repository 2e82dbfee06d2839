// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// The labels of what is made. None has a secret: everybody who may ask the engine can read them.
enum DockerLabel {
    static let server = "discobot.server"
    static let session = "discobot.session.id"
    static let project = "discobot.project.id"
    static let workspace = "discobot.workspace.id"
    static let managed = "discobot.managed"
    static let type = "discobot.type"
    /// The name of the image that was asked for, and what that meant.
    static let image = "discobot.image"
    static let imageID = "discobot.image.id"
    /// Who the programs of an image are that is used as it is.
    static let user = "discobot.user"
    /// What tells a container from one that is made otherwise.
    static let plan = "discobot.plan"

    /// Of all that a server has made.
    static func of(_ server: String) -> String { "\(Self.server)=\(server)" }
    static func of(_ project: ID<Project>) -> String { "\(Self.project)=\(project)" }
}

/// How containers, volumes and networks are called.
enum DockerName {
    static func container(_ id: ID<Session>) -> String { "discobot-session-\(id)" }
    /// The container that never starts, in which an image is prepared, or that shows how sandboxes are reached.
    static func look(_ server: String) -> String { "discobot-look-\(server)" }
    /// The image that sandboxes are made of.
    ///
    /// - Parameter key: what tells it from others of the same server.
    static func prepared(_ key: String, server: String) -> ImageReference {
        ImageReference(local: "prepared", tag: "\(server)-\(LocalSandboxFiles.digest(key))")
    }
    static func data(_ id: ID<Session>) -> String { "discobot-data-\(id)" }
    static func cache(_ id: ID<Project>) -> String { "discobot-cache-\(plain(id))" }
    static func network(_ id: ID<Project>, server: String) -> String { "discobot-\(server)-\(plain(id))" }

    /// Where only a network of its own keeps a sandbox from the others.
    static func network(_ id: ID<Session>, of project: ID<Project>, server: String) -> String {
        network(project, server: server) + "-" + LocalSandboxFiles.digest(id.rawValue)
    }

    /// The interface of a network on the host, so that a firewall can have one rule for all of them; at most 15 letters.
    static func bridge(_ network: String) -> String {
        "dsc-" + LocalSandboxFiles.digest(network).prefix(11)
    }

    /// Engines take few characters, and names of 255 at most.
    private static func plain(_ id: ID<Project>) -> String {
        let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.".utf8)
        let isPlain = id.rawValue.utf8.allSatisfy { allowed.contains($0) } && (1...100).contains(id.rawValue.utf8.count)
        return isPlain ? id.rawValue : LocalSandboxFiles.digest(id.rawValue)
    }
}
