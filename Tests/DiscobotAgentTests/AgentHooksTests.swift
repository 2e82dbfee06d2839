// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotAgent

/// Hooks of a runtime as a process.
@Suite(.timeLimit(.minutes(10)))
struct AgentHooksTests {
    private func hook(_ type: String, _ body: String, _ fields: String = "") -> String {
        "#!/bin/sh\n#---\n# name: Test hook\n# type: \(type)\n\(fields)#---\n\(body)\n"
    }

    private func text(_ chunks: [Chunk]) -> String {
        chunks.compactMap { if case .textDelta(_, let delta) = $0 { delta } else { nil } }.joined()
    }

    /// The names of the hooks that an answer shows, with whether they succeeded.
    private func shown(_ chunks: [Chunk]) -> [Bool] {
        chunks.compactMap { chunk in
            switch chunk {
            case .toolOutputAvailable(let id, _) where id.contains("-hook-"): true
            case .toolOutputError(let id, _) where id.contains("-hook-"): false
            default: nil
            }
        }
    }

    @Test
    func `hooks of the session run before the first turn`() async throws {
        try await TemporaryDirectory.with { directory in
            try await AgentRuntimeProcess.makeSource(in: directory)
            let folder = directory.file("source/.discobot/hooks")
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try directory.write(
                hook(
                    "session",
                    "sleep 0.3; echo $DISCOBOT_SESSION_ID $DISCOBOT_HOOK_TYPE in $DISCOBOT_WORKSPACE > ran"
                ),
                to: "source/.discobot/hooks/10-setup.sh"
            )
            try directory.write(hook("session", "echo no >&2; exit 5"), to: "source/.discobot/hooks/20-fails.sh")
            try directory.write(
                hook("session", "true", "# run_as: root\n"),
                to: "source/.discobot/hooks/30-root.sh"
            )
            try await Shell.run(
                """
                cd $0; chmod +x .discobot/hooks/*; git add -A
                git -c user.name=a -c user.email=a@example.com commit -qm hooks
                """,
                directory.file("source")
            )
            let runtime = try await AgentRuntimeProcess(in: directory)
            defer { runtime.kill() }
            try await runtime.start("cat ran", completion: "c")
            let workspace = directory.file("data/workspace")
            #expect(text(try await runtime.chunks(of: "c")) == "s1 session in \(workspace)\n")
            let status = try await runtime.client.hooks()
            #expect(status.hooks["10-setup"]?.lastResult == .success)
            #expect(status.hooks["10-setup"]?.runCount == 1)
            #expect(status.hooks["20-fails"]?.lastExitCode == 5)
            #expect(status.hooks["20-fails"]?.consecutiveFailures == 1)
            #expect(try await runtime.client.hookOutput("20-fails").output == "no\n")
            #expect(status.hooks["30-root"]?.lastResult == (geteuid() == 0 ? .success : .failure))
            #expect(try await runtime.client.rerunHook("20-fails") == HookRunResponse(exitCode: 5))
            #expect(try await runtime.client.hooks().hooks["20-fails"]?.consecutiveFailures == 2)
            #expect(await code { _ = try await runtime.client.rerunHook("no") } == .refused(status: 404))
            #expect(await code { _ = try await runtime.client.hookOutput("no") } == .refused(status: 404))
        }
    }

    @Test
    func `file hooks run when their files have changed, and the agent hears of failures`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let client = runtime.client
            // The agent is a shell, which takes the complaint for a script; this one is a script that mends the file.
            let complaint =
                "echo $DISCOBOT_CHANGED_FILES; grep -q good a.txt && exit 0; echo 'echo good > a.txt'; exit 1"
            try addProgram("hooks/10-check.sh", hook("file", complaint, "# pattern: '*.txt'\n"), in: directory)
            try addProgram("hooks/20-next.sh", hook("file", "touch next-ran", "# pattern: '*.txt'\n"), in: directory)
            try addProgram("hooks/30-other.sh", hook("file", "touch other-ran", "# pattern: 'x/*'\n"), in: directory)
            try await runtime.start("echo hello", completion: "none")
            #expect(shown(try await runtime.chunks(of: "none")) == [])
            try await runtime.start("echo bad > a.txt", completion: "bad")
            let chunks = try await runtime.chunks(of: "bad")
            #expect(shown(chunks) == [false, true, true])
            #expect(chunks.last == .finish)
            #expect(directory.exists("data/workspace/next-ran"))
            #expect(!directory.exists("data/workspace/other-ran"))
            let status = try await client.hooks()
            #expect(status.hooks["10-check"]?.runCount == 2)
            #expect(status.hooks["10-check"]?.failCount == 1)
            #expect(status.pendingHooks == [])
            #expect(status.lastEvaluatedAt != nil)
            // Changes that are committed in the turn count, too.
            let commit = "echo good2 > a.txt; git add -A; git -c user.name=a -c user.email=a@b.c commit -qm x"
            try await runtime.start(commit, completion: "commit")
            #expect(shown(try await runtime.chunks(of: "commit")) == [true, true])
        }
    }

    @Test
    func `a hook that keeps failing is told three times, and holds the others back`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let client = runtime.client
            let long = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo \"# $i\"; done; exit 1"
            try addProgram("hooks/10-bad.sh", hook("file", long, "# pattern: '*.txt'\n"), in: directory)
            try addProgram("hooks/20-next.sh", hook("file", "touch next-ran", "# pattern: '*.txt'\n"), in: directory)
            try await runtime.start("echo 1 > a.txt", completion: "c")
            let chunks = try await runtime.chunks(of: "c")
            #expect(shown(chunks) == [false, false, false, false])
            #expect(chunks.last == .finish)
            #expect(!directory.exists("data/workspace/next-ran"))
            let prompts = chunks.compactMap { chunk -> String? in
                guard case .toolInputAvailable(_, "bash", let input, _) = chunk else { return nil }
                return "\(input)"
            }
            #expect(prompts.count == 4)
            #expect(prompts.last?.contains("10-bad.log") == true)
            #expect(prompts.last?.contains("# 101") == false)
            #expect(prompts.last?.contains("# 300") == true)
            #expect(try await client.hooks().pendingHooks == ["10-bad", "20-next"])
            #expect(try await client.hookOutput("10-bad").output.contains("# 1\n"))
            try addProgram("hooks/10-bad.sh", hook("file", "exit 0", "# pattern: '*.txt'\n"), in: directory)
            try await runtime.start("true", completion: "d")
            #expect(shown(try await runtime.chunks(of: "d")) == [true, true])
            #expect(directory.exists("data/workspace/next-ran"))
            #expect(try await client.hooks().pendingHooks == [])
        }
    }

    @Test
    func `a failure is not told when the hook does not want that`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let fields = "# pattern: '*.txt'\n# notify_llm: false\n"
            try addProgram("hooks/quiet.sh", hook("file", "exit 1", fields), in: directory)
            try await runtime.start("echo 1 > a.txt", completion: "c")
            #expect(shown(try await runtime.chunks(of: "c")) == [false])
        }
    }

    @Test
    func `commits run the hooks of their kind, and the one that was there before`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let client = runtime.client
            let old = directory.file("data/workspace/.git/hooks/pre-commit")
            try await Shell.run("mkdir -p $0/data/workspace/.git/hooks", directory.path)
            try Data("#!/bin/sh\ntouch old-ran\n".utf8).write(to: URL(filePath: old))
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: old)
            let script = "echo checks $DISCOBOT_CHANGED_FILES; ! grep -q bad file"
            try addProgram("hooks/lint.sh", hook("pre-commit", script), in: directory)
            let commit = "git add file; git -c user.name=a -c user.email=a@b.c commit -qm x && echo committed"
            try await runtime.start("echo bad > file; \(commit)", completion: "bad")
            let bad = text(try await runtime.chunks(of: "bad"))
            #expect(bad.contains("checks file"))
            #expect(!bad.contains("committed"))
            #expect(!directory.exists("data/workspace/old-ran"))
            #expect(try await client.hooks().hooks["lint"]?.lastResult == .failure)
            try await runtime.start("echo fine > file; \(commit)", completion: "good")
            #expect(text(try await runtime.chunks(of: "good")).contains("committed"))
            #expect(directory.exists("data/workspace/old-ran"))
            #expect(directory.exists("data/workspace/.git/hooks/pre-commit.original"))
            let status = try await client.hooks().hooks["lint"]
            #expect(status?.runCount == 2)
            #expect(status?.failCount == 1)
            #expect(try await client.hookOutput("lint").output == "checks file\n")
            try FileManager.default.removeItem(atPath: directory.file("data/workspace/.discobot/hooks/lint.sh"))
            try await runtime.start("cat .git/hooks/pre-commit", completion: "gone")
            #expect(text(try await runtime.chunks(of: "gone")) == "#!/bin/sh\ntouch old-ran\n")
        }
    }

    @Test
    func `runs by git and runs that are asked for are counted once`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            try addProgram("hooks/lint.sh", hook("pre-commit", "! grep -q bad file"), in: directory)
            let commit = "git add file; git -c user.name=a -c user.email=a@b.c commit -qm x; true"
            try await runtime.start("echo bad > file; \(commit); echo 1 > file; \(commit)", completion: "c")
            _ = try await runtime.chunks(of: "c")
            for count in 3...4 {
                #expect(try await runtime.client.rerunHook("lint") == HookRunResponse(exitCode: 0))
                let status = try await runtime.client.hooks().hooks["lint"]
                #expect(status?.runCount == count)
                #expect(status?.failCount == 1)
            }
        }
    }

    @Test
    func `hooks that the user puts in the place of git's are all kept`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let folder = directory.file("data/workspace/.git/hooks")
            try await Shell.run("mkdir -p $0; echo '# first' > $0/pre-commit", folder)
            try addProgram("hooks/lint.sh", hook("pre-commit", "true"), in: directory)
            try await runtime.start("true", completion: "a")
            _ = try await runtime.chunks(of: "a")
            // As tools do that install their hook: what was there is kept beside it, and run.
            try await runtime.start(
                """
                mv .git/hooks/pre-commit .git/hooks/pre-commit.legacy
                printf '#!/bin/sh\ntouch second-ran\nexec .git/hooks/pre-commit.legacy\n' > .git/hooks/pre-commit
                chmod +x .git/hooks/pre-commit
                """,
                completion: "b"
            )
            _ = try await runtime.chunks(of: "b")
            try await runtime.start(
                "echo 2 > file; git -c user.name=a -c user.email=a@b.c commit -qam x && echo committed",
                completion: "c"
            )
            #expect(text(try await runtime.chunks(of: "c")) == "committed\n")
            #expect(directory.exists("data/workspace/second-ran"))
            #expect(try await runtime.client.hooks().hooks["lint"]?.runCount == 1)
            let kept = try await Shell.run("cd $0; grep -l second *; grep -l first *", folder)
            #expect(kept == "pre-commit.original\npre-commit.original.1\n")
        }
    }

    @Test
    func `a hook that cannot be kept stays in its place`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let folder = directory.file("data/workspace/.git/hooks")
            let names = "pre-commit.original $(seq -f pre-commit.original.%g 1000)"
            try await Shell.run("mkdir -p $0; cd $0; echo '# theirs' > pre-commit; touch \(names)", folder)
            try addProgram("hooks/lint.sh", hook("pre-commit", "true"), in: directory)
            try await runtime.start("cat .git/hooks/pre-commit; ls .git/hooks | grep -c discobot", completion: "a")
            #expect(text(try await runtime.chunks(of: "a")) == "# theirs\n0\n")
        }
    }

    @Test
    func `a FIFO in the place of git's hook holds nobody up`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let folder = directory.file("data/workspace/.git/hooks")
            try await Shell.run("mkdir -p $0; mkfifo $0/pre-commit", folder)
            try addProgram("hooks/lint.sh", hook("pre-commit", "echo checked"), in: directory)
            try await runtime.start(
                "echo 2 > file; git -c user.name=a -c user.email=a@b.c commit -qam x && echo committed",
                completion: "c"
            )
            #expect(text(try await runtime.chunks(of: "c")).contains("committed"))
            #expect(try await runtime.client.hookOutput("lint").output == "checked\n")
        }
    }

    @Test
    func `a hook that git does not look for says so, and is not put among the user's`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            try addProgram("hooks/lint.sh", hook("pre-commit", "touch lint-ran"), in: directory)
            let script = "mkdir .husky; git config core.hooksPath .husky; cat .git/hooks/pre-commit"
            try await runtime.start(script, completion: "a")
            #expect(text(try await runtime.chunks(of: "a")).contains("timeout -k 5 300"))
            let problem = try await runtime.client.hooks().hooks["lint"]?.problem
            #expect(problem?.contains(".husky (core.hooksPath)") == true)
            let commit = "echo 2 > file; git -c user.name=a -c user.email=a@b.c commit -qam x; ls .husky .git/hooks"
            try await runtime.start(commit, completion: "b")
            #expect(!text(try await runtime.chunks(of: "b")).contains("pre-commit\n"))
            #expect(!directory.exists("data/workspace/lint-ran"))
            // The place by its own name.
            try await runtime.start("git config core.hooksPath $PWD/.git/hooks/", completion: "c")
            _ = try await runtime.chunks(of: "c")
            #expect(try await runtime.client.hooks().hooks["lint"]?.problem == nil)
            try await runtime.start(commit.replacing("2", with: "3"), completion: "d")
            #expect(text(try await runtime.chunks(of: "d")).contains("pre-commit\n"))
            #expect(directory.exists("data/workspace/lint-ran"))
        }
    }

    @Test(arguments: ["sleep", "yes"])
    func `a hook that leaves a process with its output holds nobody up`(left: String) async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let number = "1\(Int.random(in: 100_000...999_999))"
            let body = "\(left) \(number) & echo done; exit 3"
            let fields = "# pattern: '*.txt'\n# notify_llm: false\n"
            try addProgram("hooks/daemon.sh", hook("file", body, fields), in: directory)
            try await runtime.start("echo 1 > a.txt", completion: "c")
            #expect(shown(try await runtime.chunks(of: "c")) == [false])
            #expect(processes(mentioning: "\(left)\0\(number)") == 0)
            #expect(try await runtime.client.hooks().hooks["daemon"]?.lastExitCode == 3)
        }
    }

    @Test
    func `a hook that takes too long is ended with all that it has begun`() async throws {
        try await TemporaryDirectory.with { directory in
            let mark = UUID().uuidString
            try await Shell.run("mkdir -p $0/.discobot/hooks", directory.path)
            try directory.write(
                hook("session", "echo begun; sh -c 'sleep 1000; : \(mark)' & sleep 1000; : \(mark)"),
                to: ".discobot/hooks/slow.sh"
            )
            try await Shell.run("chmod +x $0/.discobot/hooks/slow.sh", directory.path)
            let definition = try #require(HookDefinition.all(in: directory.path).first)
            let run = HookRun(
                hook: definition,
                command: AgentProcess.Command(
                    arguments: [directory.file(definition.path)],
                    environment: ["PATH": "/usr/bin:/bin"],
                    workingDirectory: directory.path
                ),
                outputPath: directory.file("output"),
                strays: StrayProcesses(owner: "test-\(mark)", isAlone: false),
                limit: .seconds(10)
            )
            let result = try await run.run()
            #expect(result.exitCode == 124)
            #expect(result.output.hasPrefix("begun\n"))
            #expect(result.output.hasSuffix("\nthe hook took longer than 10.0 seconds and was ended\n"))
            #expect(processes(mentioning: mark) == 0)
            #expect(try String(contentsOfFile: directory.file("output"), encoding: .utf8) == result.output)
        }
    }
}
