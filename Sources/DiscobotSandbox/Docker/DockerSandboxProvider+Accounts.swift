// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

extension DockerSandboxProvider {
    /// The image's `passwd` and `group` with the sandbox's user in them: many programs fail for a user that has no name.
    /// They are made once for each image. Nothing is left out of them, so the image's own users stay.
    func accounts(image: String, user: DockerUser) async throws -> [(name: String, path: String)] {
        let directory = "\(files.etc)/\(LocalSandboxFiles.digest("\(image) \(user)"))"
        let accounts = ["passwd", "group"].map { (name: $0, path: "\(directory)/\($0)") }
        // The second one is written last.
        if PrivateFile.exists(accounts[1].path) { return accounts }
        let texts = try await accountFiles(image: image)
        try PrivateFile.makeDirectory(directory)
        let lines = [
            "agent:x:\(user):agent:\(DockerContainerPlan.data)/home:\(Self.shell(texts))", "agent:x:\(user.gid):",
        ]
        for (index, id) in [user.uid, user.gid].enumerated() {
            let text = Self.adding(lines[index], id: id, to: texts[index])
            try PrivateFile.write(text, to: accounts[index].path, mode: 0o644)
        }
        return accounts
    }

    private static func shell(_ texts: [String]) -> String {
        texts[0].contains("/bin/bash") ? "/bin/bash" : "/bin/sh"
    }

    /// - Parameter text: lines as `name:x:id:…`.
    static func adding(_ line: String, id: Int, to text: String) -> String {
        let isThere = text.split(separator: "\n").contains { line in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            return fields.count > 2 && fields[2] == Substring(String(id))
        }
        if isThere { return text }
        return text + (text.isEmpty || text.hasSuffix("\n") ? "" : "\n") + line + "\n"
    }

    /// The image's `passwd` and `group`; a text is empty where there is no such file.
    func accountFiles(image: String) async throws -> [String] {
        // Not ended half way by a caller that gives up: the engine would have a container that nobody removes.
        try await looks.value(of: image) {
            try await queue.run(Self.lookQueue) { try await readAccountFiles(image: image) }
        }
    }

    /// Reads them from a container that never starts.
    private func readAccountFiles(image: String) async throws -> [String] {
        let server = try server.id(files)
        let name = DockerName.look(server)
        let settings: JSONValue = [
            "Image": .string(image), "Entrypoint": ["/"], "HostConfig": ["NetworkMode": "none"],
            "Labels": .labels([
                DockerLabel.managed: "true", DockerLabel.server: server, DockerLabel.type: "look",
            ]),
        ]
        // What a server that died, or an engine that was too slow to tell, has left.
        try await client.removeContainer(name)
        do {
            let container = try await client.createContainer(name, settings)
            var texts: [String] = []
            for file in ["passwd", "group"] {
                let archive = try await client.archive("/etc/\(file)", of: container)
                texts.append(archive.flatMap { DockerTar.firstFile($0) } ?? "")
            }
            try await client.removeContainer(container)
            return texts
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
}
