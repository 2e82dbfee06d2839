// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI

/// A hook as its file describes it.
struct HookDefinition: Sendable, Equatable {
    let id: String
    let name: String
    let kind: HookKind
    /// What a file hook is about.
    let pattern: Glob?
    /// Whether the agent is told of a failure.
    let notifiesAgent: Bool
    let runsAsRoot: Bool
    /// Its file, relative to the working copy.
    let path: String
    /// Why it cannot run.
    let problem: String?

    static let folder = ".discobot/hooks"

    /// Nil for a file that is no hook.
    init?(_ file: ConventionFiles.File) {
        let matter = file.frontMatter
        guard let kind = matter["type"].flatMap(HookKind.init) else { return nil }
        id = file.id
        name = matter["name"] ?? file.id
        self.kind = kind
        pattern = kind == .file ? matter["pattern"].flatMap(Glob.init) : nil
        notifiesAgent = matter["notify_llm"] != "false"
        runsAsRoot = kind == .session && matter["run_as"] == "root"
        path = file.path
        if !matter.hasInterpreter {
            problem = "the file must begin with a line such as #!/bin/sh"
        } else if !file.isExecutable {
            problem = "the file is not executable; run chmod +x \(file.path)"
        } else if kind == .file, pattern == nil {
            problem = "a hook of type file needs a pattern, such as **/*.swift"
        } else {
            problem = nil
        }
    }

    /// By file name, which is the order in which they run.
    static func all(in root: String) -> [HookDefinition] {
        ConventionFiles(folder, in: root).all().compactMap(HookDefinition.init)
    }
}
