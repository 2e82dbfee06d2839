// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
import FoundationEssentials
import Glibc

/// Git's own hook in the working copy, through which those of type `pre-commit` run.
struct PreCommitHook: Sendable {
    let directories: DataDirectories
    let sessionID: String
    let store: HookStore

    private static let mark = "# Made by discobot-agent."

    private var file: String { "\(directories.workspace)/.git/hooks/pre-commit" }
    /// What was there before.
    private var original: String { file + ".original" }

    /// Makes git run `hooks`; without any, things are as they were. May be repeated.
    func install(_ hooks: [HookDefinition]) throws {
        let current = try? String(contentsOfFile: file, encoding: .utf8)
        let isOwn = current?.contains(Self.mark) == true
        guard !hooks.isEmpty else {
            if isOwn { try restore() }
            return
        }
        let script = script(hooks)
        guard current != script else { return }
        try FileManager.default.createDirectory(
            atPath: "\(directories.workspace)/.git/hooks",
            withIntermediateDirectories: true
        )
        if !isOwn, access(file, F_OK) == 0 { rename(file, original) }
        let temporary = file + ".discobot"
        try script.write(toFile: temporary, atomically: false, encoding: .utf8)
        chmod(temporary, 0o755)
        rename(temporary, file)
    }

    private func restore() throws {
        if access(original, F_OK) == 0 { rename(original, file) } else { unlink(file) }
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
            export DISCOBOT_SESSION_ID=\(Self.quoted(sessionID)) DISCOBOT_HOOK_TYPE=pre-commit
            export DISCOBOT_WORKSPACE=\(Self.quoted(directories.workspace))
            DISCOBOT_CHANGED_FILES=$(git diff --cached --name-only | head -c 100000)
            export DISCOBOT_CHANGED_FILES
            limit=
            if command -v timeout >/dev/null 2>&1; then limit='timeout 300'; fi
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
            if [ -x "$original" ]; then exec "$original" "$@"; fi
            exit 0

            """
    }

    private static func quoted(_ text: String) -> String {
        "'\(text.replacing("'", with: "'\\''"))'"
    }
}
