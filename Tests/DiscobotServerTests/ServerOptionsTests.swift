// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotServices
import DiscobotTestSupport
import Logging
import Testing

@testable import discobot_server

struct ServerOptionsTests {
    private func options(_ environment: [String: String]) throws -> ServerOptions {
        try ServerOptions(EnvironmentReader(environment))
    }

    @Test
    func `needs no configuration`() throws {
        let options = try options(["XDG_DATA_HOME": "/data"])
        #expect(options.host == "127.0.0.1")
        #expect(options.port == 3001)
        #expect(options.databasePath == "/data/discobot/discobot.db")
        #expect(options.workspaceDirectory == "/data/discobot/workspaces")
        #expect(options.isDispatcherEnabled)
        #expect(!options.areSuggestionsEnabled)
        #expect(options.local.root == "/data/discobot/sandboxes")
        #expect(options.local.agentBinary.hasSuffix("/discobot-agent"))
        #expect(options.local.isIsolated)
        #expect(options.limits == .init(memoryMegabytes: 8192, processes: 4096))
    }

    @Test
    func `every setting is read`() throws {
        let options = try options([
            "HOST": "0.0.0.0", "PORT": "8080", "CORS_ORIGINS": "http://a.test, http://b.test",
            "DATABASE_DSN": "sqlite3:///var/lib/discobot.db", "WORKSPACE_DIR": "/srv/work",
            "SUGGESTIONS_ENABLED": "true", "CORS_DEBUG": "1", "DOCKER_HOST": "unix:///run/docker.sock",
            "LOCAL_PROVIDER_ENABLED": "false", "LOCAL_AGENT_BINARY": "/opt/agent", "LOCAL_UNISOLATED": "true",
            "LOCAL_EXTRA_PATHS": "/srv/tools, ~/bin", "SANDBOX_DIR": "/srv/sandboxes", "HOME": "/home/me",
            "SANDBOX_MEMORY_MB": "2048", "SANDBOX_PROCESSES": "0", "SANDBOX_FILE_MB": "100",
            "DISPATCHER_ENABLED": "false", "DISPATCHER_IMMEDIATE_EXECUTION": "false",
            "DISPATCHER_POLL_INTERVAL": "500ms", "DISPATCHER_HEARTBEAT_INTERVAL": "2s",
            "DISPATCHER_HEARTBEAT_TIMEOUT": "1m", "DISPATCHER_JOB_TIMEOUT": "1h",
            "DISPATCHER_STALE_JOB_TIMEOUT": "1h30m", "JOB_RETRY_BACKOFF": "1.5s", "JOB_MAX_ATTEMPTS": "7",
            "LOG_LEVEL": "DEBUG", "TRUSTED_PROXIES": "10.0.0.0/8, ::1",
        ])
        #expect(options.host == "0.0.0.0")
        #expect(options.port == 8080)
        #expect(options.corsOrigins == ["http://a.test", "http://b.test"])
        #expect(options.databasePath == "/var/lib/discobot.db")
        #expect(options.workspaceDirectory == "/srv/work")
        #expect(options.areSuggestionsEnabled)
        #expect(options.isCORSDebugEnabled)
        #expect(options.docker.address == .unix(path: "/run/docker.sock"))
        #expect(!options.isLocalProviderEnabled)
        #expect(options.local.agentBinary == "/opt/agent")
        #expect(!options.local.isIsolated)
        #expect(options.local.extraPaths == ["/srv/tools", "/home/me/bin"])
        #expect(options.local.root == "/srv/sandboxes")
        #expect(options.limits == .init(memoryMegabytes: 2048, processes: nil, fileMegabytes: 100))
        #expect(!options.isDispatcherEnabled)
        #expect(!options.dispatcher.wakesOnCommit)
        #expect(options.dispatcher.pollInterval == .milliseconds(500))
        #expect(options.dispatcher.heartbeatInterval == .seconds(2))
        #expect(options.dispatcher.leaseDuration == .seconds(60))
        #expect(options.dispatcher.jobTimeout == .seconds(3600))
        #expect(options.dispatcher.staleTimeout == .seconds(5400))
        #expect(options.dispatcher.retryBackoff == .milliseconds(1500))
        #expect(options.maxJobAttempts == 7)
        #expect(options.logLevel == .debug)
        #expect(options.trustedProxies == ["10.0.0.0/8", "::1"])
    }

    @Test
    func `certificates are looked for where Docker's own client has them`() async throws {
        try await TemporaryDirectory.with { directory in
            let settings = [
                "DOCKER_HOST": "tcp://engine.test", "DOCKER_TLS_VERIFY": "1", "DOCKER_CONFIG": directory.path,
            ]
            let none = DockerAddress.tcp(host: "engine.test", port: 2376, certificates: "", isVerified: true)
            #expect(try options(settings).docker.address == none)
            try directory.write("", to: "cert.pem")
            let found = DockerAddress.tcp(
                host: "engine.test",
                port: 2376,
                certificates: directory.path,
                isVerified: true
            )
            #expect(try options(settings).docker.address == found)
        }
    }

    @Test
    func `who listens for others is told what that means`() throws {
        for host in ["127.0.0.1", "localhost", "::1"] {
            #expect(try options(["HOST": host]).exposureWarning == nil)
        }
        #expect(try options(["HOST": "0.0.0.0"]).exposureWarning?.contains("no authentication") == true)
    }

    @Test
    func `every setting of containers is read`() throws {
        let all = try options([
            "DOCKER_HOST": "tcp://engine.test:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs",
            "DOCKER_CONFIG": "/docker", "DOCKER_NETWORK": "own", "SANDBOX_IMAGE": "debian:12", "SANDBOX_CPUS": "2",
            "SANDBOX_SHM_MB": "64", "SANDBOX_READ_ONLY": "false", "SANDBOX_RUNTIME": "runsc", "CACHE_ENABLED": "false",
            "LOCAL_AGENT_BINARY": "/opt/agent", "SANDBOX_DIR": "/srv/sandboxes", "SANDBOX_DISK_MB": "1024",
            "SANDBOX_IMAGE_AGENT": "true",
        ])
        let docker = all.docker
        #expect(docker.hasOwnAgent == true)
        #expect(
            docker.address == .tcp(host: "engine.test", port: 2376, certificates: "/certs", isVerified: true)
        )
        #expect(docker.settingsDirectory == "/docker")
        #expect(docker.network == "own")
        #expect(docker.image == "debian:12")
        #expect(all.limits.cpus == 2)
        #expect(all.limits.sharedMegabytes == 64)
        #expect(all.limits.diskMegabytes == 1024)
        #expect(docker.isRootReadOnly == false)
        #expect(docker.runtime == "runsc")
        #expect(!docker.isCacheEnabled)
        #expect(docker.agentBinary == "/opt/agent")
        #expect(docker.root == "/srv/sandboxes/docker")
        let standard = try options([:]).docker
        #expect(standard.address == .unix(path: "/var/run/docker.sock"))
        #expect(standard.image == "discobot-local/sandbox:latest")
        #expect(try options([:]).limits == .init(memoryMegabytes: 8192, processes: 4096))
        #expect(standard.isRootReadOnly == nil && standard.isCacheEnabled)
    }

    @Test(arguments: [
        ("DOCKER_HOST", "ssh://host"), ("SANDBOX_IMAGE", "a b"), ("SANDBOX_CPUS", "half"), ("CACHE_ENABLED", "maybe"),
        ("PORT", "70000"), ("PORT", "http"), ("PORT", "-1"), ("DATABASE_DSN", "postgres://user:secret@db/x"),
        ("DATABASE_DSN", "mysql"), ("SUGGESTIONS_ENABLED", "perhaps"), ("AUTH_ENABLED", "true"),
        ("DISPATCHER_POLL_INTERVAL", "5"), ("DISPATCHER_POLL_INTERVAL", "0s"), ("DISPATCHER_POLL_INTERVAL", "-5s"),
        ("DISPATCHER_JOB_TIMEOUT", "5 minutes"), ("DISPATCHER_STALE_JOB_TIMEOUT", "1s"),
        ("DISPATCHER_HEARTBEAT_TIMEOUT", "1s"), ("LOCAL_UNISOLATED", "maybe"), ("SANDBOX_MEMORY_MB", "1"),
        ("SANDBOX_PROCESSES", "many"), ("SANDBOX_FILE_MB", "-1"), ("JOB_MAX_ATTEMPTS", "0"), ("LOG_LEVEL", "loud"),
    ])
    func `a wrong value is an error that names the variable`(name: String, value: String) throws {
        let error = #expect(throws: ServerError.self) { try options([name: value]) }
        #expect(error?.message.hasPrefix(name) == true)
        #expect(error?.message.contains("secret") == false)
    }

    @Test(arguments: ["discobot.db", "./discobot.db", "data/x.sqlite", "~/x.db", "sqlite://x"])
    func `the database's path becomes absolute`(dsn: String) throws {
        #expect(try options(["DATABASE_DSN": dsn]).databasePath.hasPrefix("/"))
    }

    @Test
    func `an empty value counts as absent`() throws {
        #expect(try options(["PORT": "", "HOST": "  "]).port == 3001)
    }

    @Test(arguments: [
        (#""two words""#, "two words"), ("'single'", "single"), ("plain", "plain"), (#""half"#, #""half"#),
        ("\"", "\""),
        ("\"\"", ""), (#"say "hi""#, #"say "hi""#),
    ])
    func `quotes around a value in the file are no part of it`(written: String, value: String) {
        #expect(EnvironmentReader.unquoted(written) == value)
    }

    @Test
    func `the file fills in what the environment lacks`() async throws {
        try await TemporaryDirectory.with { directory in
            try directory.write("# comment\nLOG_LEVEL=\"error\"\nWORKSPACE_DIR='/a b'\nPATH=/nowhere\n", to: ".env")
            let reader = try await EnvironmentReader(file: directory.file(".env"))
            #expect(reader.text("LOG_LEVEL") == "error")
            #expect(reader.text("WORKSPACE_DIR") == "/a b")
            #expect(reader.text("PATH") != "/nowhere")
        }
    }

    @Test(arguments: [
        ("1h2m3s", Duration.seconds(3723)), ("500ms", .milliseconds(500)), ("1.5h", .seconds(5400)),
        ("250us", .microseconds(250)), ("1ns", .nanoseconds(1)),
    ])
    func `reads Go's durations`(text: String, duration: Duration) {
        #expect(Duration(goSyntax: text) == duration)
    }

    @Test(arguments: ["", "s", "5", "5 s", "-1s", "1d", "1s2", "1..5s", "٣s"])
    func `refuses what Go refuses`(text: String) {
        #expect(Duration(goSyntax: text) == nil)
    }
}
