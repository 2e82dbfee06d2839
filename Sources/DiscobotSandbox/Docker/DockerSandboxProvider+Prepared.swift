// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// The image that sandboxes are made of: that of the settings with all in it that each of them would have to be given.
extension DockerSandboxProvider {
    /// To be raised with each change of what is put into it.
    private static let version = 1
    private static let type = "prepared"
    /// What the places of a sandbox's data and cache are below.
    private static let root = ".data"

    /// Has the sandbox's user in its accounts, and places for data and cache that this user can write. It is made when the
    /// engine does not have it. Throws `SandboxError` or `DockerError`.
    ///
    /// - Parameter users: nil when the image is used as it is.
    func prepared(_ image: DockerImage, for users: DockerUsers?) async throws -> DockerPreparedImage {
        guard users == nil || !image.hasVolume(at: "/" + Self.root) else {
            // The data would not be in the sandbox's own volume, and nothing of it would belong to the user.
            let reason =
                "the image \(configuration.image) has a volume in /\(Self.root), where sandboxes keep their data"
            throw SandboxError(.invalidImage, "\(reason); make it without")
        }
        let name = try preparedName(image, users)
        return try await preparedImages.image(name.description) {
            try await queue.run(Self.lookQueue) {
                let known = try await client.image(name.description)
                if let prepared = known.flatMap({ DockerPreparedImage($0, name) }) { return prepared }
                let prepared = DockerPreparedImage(name: name.description, user: try await prepare(image, users, name))
                // Looked for again with all that may be left.
                try? await removePrepared(except: name)
                return prepared
            }
        }
    }

    private func preparedName(_ image: DockerImage, _ users: DockerUsers?) throws -> ImageReference {
        let user = users.map { "\($0.inside) \($0.namespace ?? "")" } ?? "own"
        let key = "\(Self.version) \(image.id) \(user) \(configuration.isCacheEnabled)"
        return DockerName.prepared(key, server: try server.id(files))
    }

    /// Returns who its programs are.
    private func prepare(
        _ image: DockerImage,
        _ users: DockerUsers?,
        _ name: ImageReference
    ) async throws -> DockerUser {
        do {
            return try await withLook(into: image) { look in
                let accounts = try await accounts(in: look)
                let user = try users?.inside ?? accounts.user(of: image)
                let additions = places(user, users) + (users == nil ? [] : accounts.files(with: user))
                try await client.extract(DockerTar.archive(additions), to: "/", of: look)
                let labels = [DockerLabel.imageID: image.id, DockerLabel.user: user.description]
                try await client.commit(look, as: name, labels: labels)
                return user
            }
        } catch let error as DockerError where error.isRefusal || error.code == .failed {
            let reason = "the image \(configuration.image) could not be prepared for sandboxes: \(error.message)"
            throw SandboxError(.failed, reason)
        }
    }

    /// What volumes begin with, as engines copy it into new ones. Where users inside are others than those of the engine's
    /// images, no owner in an image is the right one, so anybody may write there; nobody else is in a sandbox.
    private func places(_ user: DockerUser, _ users: DockerUsers?) -> [DockerTar.Entry] {
        let isForeign = users?.namespace != nil
        let (owner, mode) = isForeign ? (DockerUser.root, 0o777) : (user, 0o700)
        // An image that is used as it is may keep something there.
        let root = DockerTar.Entry(path: Self.root, mode: 0o755, owner: users == nil ? user : .root)
        let own = ["agent"] + (configuration.isCacheEnabled ? ["cache"] : [])
        return [root] + own.map { DockerTar.Entry(path: "\(Self.root)/\($0)", mode: mode, owner: owner) }
    }

    private func accounts(in container: String) async throws -> DockerAccounts {
        func text(_ path: String) async throws -> String {
            try await client.archive(path, of: container).flatMap { DockerTar.firstFile($0) } ?? ""
        }
        return DockerAccounts(passwd: try await text("/etc/passwd"), group: try await text("/etc/group"))
    }

    /// Runs `body` with a container of an image that never starts.
    private func withLook<Value>(
        into image: DockerImage,
        _ body: (_ container: String) async throws -> Value
    ) async throws -> Value {
        let server = try server.id(files)
        let name = DockerName.look(server)
        // Which are the image's then.
        let labels = [DockerLabel.managed: "true", DockerLabel.server: server, DockerLabel.type: Self.type]
        var settings: [(String, JSONValue)] = [
            ("Image", .string(image.id)), ("HostConfig", ["NetworkMode": "none"]), ("Labels", .labels(labels)),
        ]
        // Engines make no container without a program.
        if !image.hasProgram { settings.append(("Cmd", ["/"])) }
        // What a server that died, or an engine that was too slow to tell, has left.
        try await client.removeContainer(name)
        do {
            let value = try await body(try await client.createContainer(name, .object(settings)))
            try await client.removeContainer(name)
            return value
        } catch {
            // Whoever did not hear that it was made may have one all the same.
            try? await client.removeContainer(name)
            throw error
        }
    }

    /// Removes the container that was looked into, where a server that died has left it.
    func removeLook() async throws {
        let name = DockerName.look(try server.id(files))
        try await queue.run(Self.lookQueue) { try await client.removeContainer(name) }
    }

    /// There is one such container at a time. No session has this for its id.
    static let lookQueue: ID<Session> = "look/"

    /// Removes those of earlier images that no container has any more; none is made meanwhile.
    func removePrepared() async throws {
        try await queue.run(Self.lookQueue) { try await removePrepared(except: try await preparedName()) }
    }

    /// Nil when the engine does not have the image.
    private func preparedName() async throws -> ImageReference? {
        guard let image = try await images.current() else { return nil }
        let users = hasOwnAgent(image) ? nil : DockerUsers(of: try await client.info())
        return try preparedName(image, users)
    }

    private func removePrepared(except name: ImageReference?) async throws {
        let kept = if let name { try await client.image(name.description)?.id } else { String?.none }
        let labels = [DockerLabel.of(try server.id(files)), "\(DockerLabel.type)=\(Self.type)"]
        for image in try await client.images(labels: labels) where image.id != kept {
            try await client.removeUnusedImage(image.id)
        }
    }
}

extension DockerPreparedImage {
    /// Nil for one that is not what its name says.
    fileprivate init?(_ image: DockerImage, _ name: ImageReference) {
        let ids = (image.label(DockerLabel.user) ?? "").split(separator: ":").compactMap { Int($0) }
        guard ids.count == 2 else { return nil }
        self.init(name: name.description, user: DockerUser(uid: ids[0], gid: ids[1]))
    }
}
