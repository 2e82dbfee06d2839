// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Synchronization

/// Which of an engine's containers, volumes and networks are this server's: several servers may share an engine, and
/// each removes what belongs to no session that it knows.
final class DockerServer: Sendable {
    private let path: String
    private let known = Mutex<String?>(nil)

    init(root: String) {
        path = root + "/server"
    }

    /// Nil while nothing has been made on the engine, so there is nothing to ask it for. Throws `SandboxError`.
    func knownID(_ files: LocalSandboxFiles) throws -> String? {
        let isThere = known.withLock { $0 != nil } || PrivateFile.exists(path)
        return isThere ? try id(files) : nil
    }

    /// Drawn once and kept beside the sandboxes' files. Throws `SandboxError` when it can be neither read nor written, also
    /// when what is there is no id: with another one, all that was made would be somebody else's.
    func id(_ files: LocalSandboxFiles) throws -> String {
        try known.withLock { known in
            if let known { return known }
            let id = try PrivateFile.exists(path) ? read() : draw(files)
            known = id
            return id
        }
    }

    private func read() throws -> String {
        let text = try PrivateFile.read(path, limit: 64)?.prefix { $0 != "\n" } ?? ""
        guard text.count == 12, text.allSatisfy(\.isHexDigit) else {
            throw SandboxError(
                .failed,
                "\(path) is damaged: it names what this server has made on the Docker Engine; restore it, or write the value "
                    + "of the label \(DockerLabel.server) that its volumes have (docker volume ls --filter label=\(DockerLabel.server))"
            )
        }
        return String(text)
    }

    private func draw(_ files: LocalSandboxFiles) throws -> String {
        let id = Self.draw()
        try files.prepare()
        try PrivateFile.write(id + "\n", to: path, isDurable: true)
        return id
    }

    private static func draw() -> String {
        String(UUID().uuidString.lowercased().filter { $0 != "-" }.prefix(12))
    }
}
