// SPDX-License-Identifier: Apache-2.0

/// The users and groups of an image.
struct DockerAccounts: Sendable {
    /// As in `/etc`; empty where there is no such file.
    let passwd: String
    let group: String

    /// Both with the sandbox's user in them, as many programs fail for a user without a name. The image's own users stay.
    func files(with user: DockerUser) -> [DockerTar.Entry] {
        let shell = passwd.contains("/bin/bash") ? "/bin/bash" : "/bin/sh"
        let line = "agent:x:\(user):agent:\(DockerContainerPlan.data)/home:\(shell)"
        let texts = [
            ("passwd", Self.adding(line, id: user.uid, to: passwd)),
            ("group", Self.adding("agent:x:\(user.gid):", id: user.gid, to: group)),
        ]
        return texts.map { DockerTar.Entry(path: "etc/\($0)", mode: 0o644, owner: .root, text: $1) }
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

    /// Who the image's own programs are: numbers, or a name. Throws `SandboxError` for a name that nobody has.
    func user(of image: DockerImage) throws -> DockerUser {
        let parts = (image.settings?.user ?? "").split(separator: ":").map(String.init)
        guard let name = parts.first else { return .root }
        if let uid = Int(name) { return DockerUser(uid: uid, gid: parts.dropFirst().first.flatMap { Int($0) } ?? 0) }
        let lines = passwd.split(separator: "\n").map { $0.split(separator: ":", omittingEmptySubsequences: false) }
        guard let line = lines.first(where: { $0.count > 3 && $0[0] == name }), let uid = Int(line[2]),
            let gid = Int(line[3])
        else { throw SandboxError(.invalidImage, "the image's user \(name) is not in its /etc/passwd") }
        return DockerUser(uid: uid, gid: gid)
    }
}
