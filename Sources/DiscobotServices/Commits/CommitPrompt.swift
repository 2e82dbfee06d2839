// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel

/// The message that asks a session's agent to commit what it has done.
enum CommitPrompt {
    private static let command = "/discobot-commit"

    /// The id of a session's next such message; ids are never used twice.
    static func messageID(of session: ID<Session>, number: Int) -> String {
        number == 1 ? "\(session)-commit" : "\(session)-commit-\(number)"
    }

    /// As it stands in the history.
    static func message(id: String, base: String) -> UIMessage {
        UIMessage(id: id, role: .user, parts: [.text("\(command) \(base)")])
    }

    /// What the agent is told in the place of the command; other messages stay as they are.
    static func expanded(_ message: UIMessage, for agentType: String, _ session: Session) -> UIMessage {
        guard message.id.hasPrefix("\(session.id)-commit"), case .text(let text)? = message.parts.first,
            text.hasPrefix("\(command) ")
        else { return message }
        let base = String(text.dropFirst(command.count + 1))
        let told = agentType == "shell" ? script(title: session.displayName ?? session.name) : request(base: base)
        return UIMessage(id: message.id, role: .user, parts: [.text(told)])
    }

    private static func request(base: String) -> String {
        """
        Commit all of your work in this repository now, so that it can be taken over into the workspace.

        - Stage and commit every change that belongs to the task, new files included, in one commit or in a few that each
          make sense. Leave out build results, secrets and temporary files.
        - Write messages as this repository does: say what changed, and why.
        - Do not rewrite commits that were there before your work, do not merge, and do not push. The workspace is at
          \(base.prefix(40)).
        - When there is nothing to commit, say so and do nothing else.
        """
    }

    /// For the agent that runs its messages as scripts.
    private static func script(title: String) -> String {
        let line = title.split(whereSeparator: \.isNewline).first.map { String($0.prefix(72)) } ?? ""
        let subject = line.isEmpty ? "Changes of a session" : line
        let quoted = "'" + subject.replacing("'", with: "'\\''") + "'"
        return """
            git add --all || exit
            if git diff --cached --quiet; then echo 'There is nothing to commit.'; exit; fi
            if ! git var GIT_COMMITTER_IDENT >/dev/null 2>&1; then
                export GIT_AUTHOR_NAME=Discobot GIT_AUTHOR_EMAIL=discobot@localhost
                export GIT_COMMITTER_NAME=Discobot GIT_COMMITTER_EMAIL=discobot@localhost
            fi
            git commit --quiet -m \(quoted) && git --no-pager log --oneline --stat -1
            """
    }
}
