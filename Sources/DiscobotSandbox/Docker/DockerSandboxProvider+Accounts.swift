// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import FoundationEssentials

extension DockerSandboxProvider {
    /// The image's `passwd` and `group` with the sandbox's user in them: many programs fail for a user that has no name.
    /// They are made once for each image. Nothing is left out of them, so the image's own users stay.
    func accounts(image: String, user: DockerUser) async throws -> [(name: String, path: String)] {
        let directory = "\(files.etc)/\(LocalSandboxFiles.digest("\(image) \(user)"))"
        let accounts = ["passwd", "group"].map { ($0, "\(directory)/\($0)") }
        // The second one is written last.
        if PrivateFile.exists(accounts[1].1) { return accounts }
        let texts = try await accountFiles(image: image)
        try PrivateFile.makeDirectory(directory)
        let lines = [
            "agent:x:\(user):agent:\(DockerContainerPlan.data)/home:\(Self.shell(texts))", "agent:x:\(user.gid):",
        ]
        for (index, id) in [user.uid, user.gid].enumerated() {
            let text = Self.adding(lines[index], id: id, to: texts[index])
            try PrivateFile.write(text, to: accounts[index].1, mode: 0o644)
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

    /// What the image has, read from a container that never starts.
    func accountFiles(image: String) async throws -> [String] {
        let name = "discobot-look-\(UUID().uuidString.lowercased())"
        let settings: JSONValue = [
            "Image": .string(image), "Entrypoint": ["/"], "HostConfig": ["NetworkMode": "none"],
            "Labels": .labels([
                DockerLabel.managed: "true", DockerLabel.server: try server.id(files), DockerLabel.type: "look",
            ]),
        ]
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
            // This goes on when the caller gives up. Whoever did not hear that it was made may have one all the same.
            try? await Task { try await client.removeContainer(name) }.value
            throw error
        }
    }
}
