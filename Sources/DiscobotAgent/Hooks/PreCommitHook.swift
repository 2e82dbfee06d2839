// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
import DiscobotModel
import FoundationEssentials
import Glibc
import SystemPackage

/// Git's own hook in the working copy, through which those of type `pre-commit` run.
struct PreCommitHook: Sendable {
    let directories: DataDirectories
    let sessionID: String
    let store: HookStore

    private static let mark = "# Made by discobot-agent."
    /// Larger ones are not this one.
    private static let sizeLimit = 1 << 20

    private static func directory(_ directories: DataDirectories) -> String { "\(directories.workspace)/.git/hooks" }

    private var file: String { Self.directory(directories) + "/pre-commit" }
    /// What was there before.
    private var original: String { file + ".original" }

    /// Makes git run `hooks`; without any, things are as they were. May be repeated.
    func install(_ hooks: [HookDefinition]) throws {
        let current = RegularFile.head(of: file, limit: Self.sizeLimit).map { String(decoding: $0, as: UTF8.self) }
        let isOwn = current?.contains(Self.mark) == true
        guard !hooks.isEmpty else {
            if isOwn { try restore() }
            return
        }
        let script = script(hooks)
        guard current != script else { return }
        try FileManager.default.createDirectory(
            atPath: Self.directory(directories),
            withIntermediateDirectories: true
        )
        let temporary = file + ".discobot"
        try script.write(toFile: temporary, atomically: true, encoding: .utf8)
        chmod(temporary, 0o755)
        do {
            if !isOwn { try keepOriginal() }
            try move(temporary, to: file)
        } catch {
            unlink(temporary)
            throw error
        }
    }

    /// Of several that have been there, the newest runs, and none is lost.
    private func keepOriginal() throws {
        guard Self.exists(file) else { return }
        if Self.exists(original) {
            let free = (1...1_000).lazy.map { "\(original).\($0)" }.first { !Self.exists($0) }
            guard let free else { throw Errno.fileExists }
            try move(original, to: free)
        }
        try move(file, to: original)
    }

    private func restore() throws {
        if Self.exists(original) { try move(original, to: file) } else { unlink(file) }
    }

    private func move(_ path: String, to other: String) throws {
        guard rename(path, other) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Also a link to nothing.
    private static func exists(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }

    private func script(_ hooks: [HookDefinition]) -> String {
        let runs = hooks.map { hook in
            let arguments = [
                "\(directories.workspace)/\(hook.path)", store.outputPath(of: hook.id), store.commitsPath(of: hook.id),
            ]
            return "run \(arguments.map(Self.quoted).joined(separator: " ")) || exit $?"
        }
        return """
            #!/bin/sh
            \(Self.mark) Runs the hooks of type pre-commit in .discobot/hooks, then the hook that was here before.
            # That one may run a copy of this file, which a tool for hooks has kept.
            if [ -n "$DISCOBOT_IN_PRE_COMMIT" ]; then exit 0; fi
            export DISCOBOT_IN_PRE_COMMIT=1
            export DISCOBOT_SESSION_ID=\(Self.quoted(sessionID)) DISCOBOT_HOOK_TYPE=pre-commit
            export DISCOBOT_WORKSPACE=\(Self.quoted(directories.workspace))
            DISCOBOT_CHANGED_FILES=$(git diff --cached --name-only | head -c 100000)
            export DISCOBOT_CHANGED_FILES
            limit=
            if timeout -k 5 300 true 2>/dev/null; then limit='timeout -k 5 300'; fi
            run() {
                [ -x "$1" ] || return 0
                $limit "$1" >"$2" 2>&1 </dev/null
                code=$?
                cat "$2"
                echo "$(date +%s) $code" >>"$3"
                return $code
            }
            \(runs.joined(separator: "\n"))
            original="$(dirname "$0")/pre-commit.original"
            if [ -f "$original" ] && [ -x "$original" ]; then exec "$original" "$@"; fi
            exit 0

            """
    }

    private static func quoted(_ text: String) -> String {
        "'\(text.replacing("'", with: "'\\''"))'"
    }
}

extension PreCommitHook {
    /// Where git looks for its hooks instead, as `core.hooksPath` says; nil where it looks here.
    ///
    /// Nothing is put there: it is often a directory of the working copy, whose files the user commits.
    static func otherDirectory(_ context: ProgramContext) async -> String? {
        guard let path = await gitPath(context) else { return nil }
        let absolute = path.hasPrefix("/") ? path : "\(context.directories.workspace)/\(path)"
        return resolved(absolute) == resolved(directory(context.directories)) ? nil : path
    }

    /// Nil when git cannot tell, or not soon.
    private static func gitPath(_ context: ProgramContext) async -> String? {
        await withTaskGroup(of: String?.self) { group in
            group.addTask {
                var command = context.command("", [:])
                // As the agent's git sees it: the runtime's own has other settings.
                command.arguments = ["git", "rev-parse", "--git-path", "hooks"]
                let outcome = try? await AgentProcess.run(command, strays: context.strays) { process in
                    await process.finishInput()
                    return try await process.lines.first { _ in true }
                }
                guard let outcome, outcome.exitCode == 0 else { return nil }
                return outcome.value.map { String(decoding: $0, as: UTF8.self) }
            }
            group.addTask {
                try? await Task.sleep(upTo: .seconds(30))
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    private static func resolved(_ path: String) -> String {
        guard let found = realpath(path, nil) else {
            // It need not be there yet.
            return path.hasSuffix("/") ? String(path.dropLast()) : path
        }
        defer { free(found) }
        return String(cString: found)
    }
}
