// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotAgent

@Suite(.timeLimit(.minutes(10)))
struct WorkingCopyTests {
    private func with(
        source script: String,
        environment: [String: String] = [:],
        _ body: (AgentRuntimeProcess, TemporaryDirectory) async throws -> Void
    ) async throws {
        try await TemporaryDirectory.with { directory in
            try await AgentRuntimeProcess.makeSource(in: directory)
            try await Shell.run(
                "cd \"$0\"; export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; \(script)",
                directory.path
            )
            let runtime = try await AgentRuntimeProcess(in: directory, environment: environment)
            defer { runtime.kill() }
            try await body(runtime, directory)
        }
    }

    private func git(_ directory: TemporaryDirectory, _ arguments: String) async throws -> String {
        try await Shell.run("cd \"$0/data/workspace\" && git \(arguments)", directory.path)
    }

    @Test
    func `it is on the workspace's branch and shares its objects`() async throws {
        try await with(source: "true") { (runtime, directory) async throws in
            #expect(try await runtime.client.health() == AgentHealth(healthy: true, connected: true))
            #expect(try await git(directory, "status -sb") == "## main...origin/main\n")
            #expect(try await git(directory, "remote get-url origin") == "https://example.com/source.git\n")
            let alternates = directory.file("data/workspace/.git/objects/info/alternates")
            #expect(FileManager.default.fileExists(atPath: alternates))
        }
    }

    @Test
    func `who waits hears as soon as it is ready`() async throws {
        try await TemporaryDirectory.with { directory in
            try await AgentRuntimeProcess.makeSource(in: directory)
            // A git whose checkout takes until there is a file.
            try directory.write(
                """
                #!/bin/sh
                case " $* " in *" checkout "*) until [ -e "\(directory.file("go"))" ]; do sleep 0.01; done ;; esac
                PATH=${PATH#*:} exec git "$@"

                """,
                to: "git"
            )
            try await Shell.run("mkdir $0/bin; mv $0/git $0/bin; chmod +x $0/bin/git", directory.path)
            let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
            let runtime = try await AgentRuntimeProcess(
                in: directory,
                environment: ["PATH": "\(directory.path)/bin:\(path)"],
                isAwaited: false
            )
            defer { runtime.kill() }
            try await eventually { (try? await runtime.client.health())?.connected == false }
            let start = ContinuousClock.now
            #expect(try await !runtime.client.settledHealth().connected)
            #expect(start.duration(to: .now) > .seconds(4), "it was not waited for")
            async let settled = runtime.client.settledHealth()
            try directory.write("", to: "go")
            let told = try await settled
            // A busy machine may take longer than anybody waits.
            #expect(told.connected || start.duration(to: .now) > .seconds(8))
            try await eventually { try await runtime.client.settledHealth().connected }
        }
    }

    @Test
    func `a commit that is not the branch's gets a branch of the session`() async throws {
        try await TemporaryDirectory.with { directory in
            try await AgentRuntimeProcess.makeSource(in: directory)
            let commit = try await Shell.run(
                "cd $0/source; git rev-parse HEAD; git -c user.name=a -c user.email=a@b commit -q --allow-empty -m two",
                directory.path
            )
            .trimmingCharacters(in: .newlines)
            let runtime = try await AgentRuntimeProcess(in: directory, environment: ["WORKSPACE_COMMIT": commit])
            defer { runtime.kill() }
            #expect(try await git(directory, "branch --show-current") == "discobot/s1\n")
            #expect(try await git(directory, "rev-parse HEAD") == commit + "\n")
            #expect(try await git(directory, "log -1 --format=%s main") == "two\n")
        }
    }

    @Test(arguments: [
        "mv source s; git clone -q --bare s source",
        "mv source s; git -C s commit -q --allow-empty -m two; git clone -q --depth 1 file://$PWD/s source",
        "git -C source checkout -q --detach",
        "rm -rf source; git init -q -b main --object-format=sha256 source; cd source; echo one >file; git add .; "
            + "git commit -q -m one",
        "chown -R 65534:65534 source",
        #"printf 'file filter=lfs\n' > source/.gitattributes; git -C source add .; git -C source commit -q -m lfs"#,
        "git init -q -b main m; git -C m commit -q --allow-empty -m m; cd source; "
            + "git -c protocol.file.allow=always submodule --quiet add ../m m; git commit -q -m m",
    ])
    func `any kind of repository will do`(script: String) async throws {
        try await with(source: script) { (runtime, directory) async throws in
            #expect(try await runtime.client.health() == AgentHealth(healthy: true, connected: true))
            #expect(try await git(directory, "status --porcelain") == "")
            #expect(try await git(directory, "branch --show-current").count > 1)
            #expect(try String(contentsOfFile: directory.file("data/workspace/file"), encoding: .utf8) == "one\n")
        }
    }

    @Test
    func `it knows what a clone would know`() async throws {
        let script = #"""
            cd source; git branch 'fix/"a"#b'; git tag light; git tag -a -m full full; git checkout -q -b 'own;"x"'
            git clone -q --shared --no-checkout --template= . ../clone
            git -C ../clone remote set-url origin https://example.com/source.git
            """#
        try await with(source: script) { (runtime, directory) async throws in
            #expect(try await runtime.client.health() == AgentHealth(healthy: true, connected: true))
            for question in [
                "for-each-ref", "config --list --local", "symbolic-ref HEAD", "rev-parse full^{commit}",
                "ls-tree -r HEAD", "rev-parse --abbrev-ref @{upstream}",
            ] {
                let clone = try await Shell.run("cd \"$0/clone\" && git \(question)", directory.path)
                let own = try await git(directory, question)
                #expect(
                    own.split(separator: "\n").sorted() == clone.split(separator: "\n").sorted(),
                    "\(question)"
                )
            }
            #expect(try await git(directory, "fsck --no-dangling") == "")
        }
    }

    @Test
    func `a repository without commits gives one without commits`() async throws {
        try await with(source: "rm -rf source; git init -q -b trunk source") { (runtime, directory) async throws in
            #expect(try await runtime.client.health().connected)
            #expect(try await git(directory, "branch --show-current") == "trunk\n")
            #expect(try await git(directory, "remote get-url origin") == "https://example.com/source.git\n")
        }
    }

    @Test
    func `what is wrong with the workspace is said`() async throws {
        try await with(source: "rm -rf source") { (runtime, directory) async throws in
            let health = try await runtime.client.health()
            #expect(!health.connected)
            #expect(health.error == "the workspace's repository is not there: \(directory.file("source"))")
            await #expect(throws: AgentError.self) { try await runtime.start("true", completion: "c") }
        }
        try await with(source: "true", environment: ["WORKSPACE_COMMIT": String(repeating: "1", count: 40)]) {
            (runtime, _) async throws in
            #expect(try await runtime.client.health().error?.contains("is not in the workspace's repository") == true)
        }
    }

    @Test
    func `a workspace that vanishes later is said, unless the copy is detached`() async throws {
        try await with(source: "true") { (runtime, directory) async throws in
            try FileManager.default.moveItem(atPath: directory.file("source"), toPath: directory.file("moved"))
            #expect(try await runtime.client.health().error?.contains("has vanished") == true)
            try FileManager.default.moveItem(atPath: directory.file("moved"), toPath: directory.file("source"))
            try await runtime.client.detach()
            try await runtime.client.detach()
            try FileManager.default.removeItem(atPath: directory.file("source"))
            #expect(try await runtime.client.health().connected)
            #expect(try await git(directory, "fsck --no-dangling") == "")
            #expect(try await git(directory, "log --format=%s") == "one\n")
        }
    }

    @Test
    func `a runtime that is killed while preparing prepares again, and what is there is kept`() async throws {
        try await TemporaryDirectory.with { directory in
            try await AgentRuntimeProcess.makeSource(in: directory)
            // What a kill leaves behind: a staging directory, and processes that nobody waits for.
            try await Shell.run(#"mkdir -p "$0/data/.workspace.x.preparing/.git""#, directory.path)
            var runtime = try await AgentRuntimeProcess(in: directory)
            defer { runtime.kill() }
            #expect(try await runtime.client.health().connected)
            let names = try FileManager.default.contentsOfDirectory(atPath: directory.file("data")).sorted()
            #expect(names == ["agent", "home", "workspace"])
            try Data("mine\n".utf8).write(to: URL(filePath: directory.file("data/workspace/file")))
            runtime.kill()
            runtime = try await AgentRuntimeProcess(in: directory)
            #expect(try await git(directory, "status --porcelain") == " M file\n")
        }
    }

    @Test(arguments: ["for-each-ref", "checkout"])
    func `a runtime that is killed while git works starts over, and nothing of it is left`(step: String) async throws {
        try await TemporaryDirectory.with { directory in
            try await AgentRuntimeProcess.makeSource(in: directory)
            // Does its work, and then hangs as long as nobody kills it.
            let wrapper = """
                #!/bin/sh
                PATH=${PATH#*:}
                case " $* " in *" \(step) "*) ;; *) exec git "$@" ;; esac
                git "$@"; echo $$ > \(directory.file("pid.new")); mv \(directory.file("pid.new")) \(directory.file("pid"))
                exec sleep 1000
                """
            try FileManager.default.createDirectory(atPath: directory.file("bin"), withIntermediateDirectories: false)
            try directory.write(wrapper, to: "bin/git")
            try await Shell.run(#"chmod 755 "$0/bin/git""#, directory.path)
            let path = "\(directory.file("bin")):\(ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin")"
            let first = try await AgentRuntimeProcess(in: directory, environment: ["PATH": path], isAwaited: false)
            defer { first.kill() }
            try await eventually { directory.exists("pid") || !first.isRunning }
            first.kill()
            let git = try #require(
                pid_t(try String(contentsOfFile: directory.file("pid"), encoding: .utf8).prefix { $0.isNumber })
            )
            #expect(!ProcessTable.hasEnded(git))
            let left = try directory.contents("data")
            #expect(!left.contains("workspace"))
            #expect(left.contains { $0.hasSuffix(".preparing") } == (step == "checkout"))
            let next = try await AgentRuntimeProcess(in: directory)
            defer { next.kill() }
            #expect(try await next.client.health() == AgentHealth(healthy: true, connected: true))
            #expect(ProcessTable.hasEnded(git))
            #expect(try directory.contents("data") == ["agent", "home", "workspace"])
            #expect(try await self.git(directory, "status -sb") == "## main...origin/main\n")
            #expect(try await self.git(directory, "remote get-url origin") == "https://example.com/source.git\n")
            #expect(try await self.git(directory, "fsck --no-dangling") == "")
        }
    }
}
