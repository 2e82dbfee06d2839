// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import FoundationEssentials
import Glibc
import SystemPackage

/// What the driver keeps between turns, and the files that the program reads in one.
struct ClaudeCodeState: Sendable {
    private let directory: FilePath

    init(directory: String) {
        self.directory = FilePath(directory)
    }

    private var sessionFile: FilePath { directory.appending("session") }
    private var promptFile: FilePath { directory.appending("system-prompt.txt") }
    private var serversFile: FilePath { directory.appending("mcp.json") }
    private var settingsFile: FilePath { directory.appending("settings.json") }
    private var rulesFile: FilePath { directory.appending("rules.json") }

    /// The program's name for the conversation; nil for a new one.
    var session: String? {
        guard let data = try? Data(contentsOf: URL(filePath: sessionFile.string)) else { return nil }
        let name = String(decoding: data, as: UTF8.self)
        return name.isEmpty ? nil : name
    }

    func keep(session: String) throws {
        try write(Array(session.utf8), to: sessionFile)
    }

    func forgetSession() {
        try? FileManager.default.removeItem(atPath: sessionFile.string)
    }

    /// What the user has allowed in this conversation.
    var rules: ClaudeCodeRules {
        guard let data = try? Data(contentsOf: URL(filePath: rulesFile.string)),
            let suggestions = try? JSONDecoder().decode([JSONValue].self, from: data)
        else { return ClaudeCodeRules() }
        return ClaudeCodeRules(suggestions)
    }

    func keep(rules: ClaudeCodeRules) throws {
        try write(try JSONEncoding.bytes(of: rules.suggestions), to: rulesFile)
    }

    /// Writes the agent's settings, which may hold secrets and so are no arguments; returns the options that name them.
    func writeSettings(_ agent: AgentSettings) throws -> [String] {
        try FileManager.default.createDirectory(atPath: directory.string, withIntermediateDirectories: true)
        var options: [String] = []
        if let prompt = agent.systemPrompt, !prompt.isEmpty {
            try write(Array(prompt.utf8), to: promptFile)
            options += ["--append-system-prompt-file", promptFile.string]
        }
        if !agent.mcpServers.isEmpty {
            try write(try JSONEncoding.bytes(of: Servers(agent.mcpServers)), to: serversFile)
            options += ["--mcp-config", serversFile.string]
        }
        if let settings = rules.settings {
            try write(try JSONEncoding.bytes(of: settings), to: settingsFile)
            options += ["--settings", settingsFile.string]
        }
        return options
    }

    /// Also those that were half written.
    func removeSettings() {
        for file in [promptFile, serversFile, settingsFile] {
            unlink(file.string)
            unlink(Self.new(file).string)
        }
    }

    private static func new(_ file: FilePath) -> FilePath { FilePath(file.string + ".new") }

    /// Replaces a file as a whole; only its owner may read it.
    private func write(_ bytes: [UInt8], to file: FilePath) throws {
        let new = Self.new(file)
        try? FileManager.default.removeItem(atPath: new.string)
        let descriptor = try FileDescriptor.open(
            new,
            .writeOnly,
            options: [.create, .exclusiveCreate, .closeOnExec],
            permissions: .ownerReadWrite
        )
        try descriptor.closeAfter { _ = try descriptor.writeAll(bytes) }
        guard rename(new.string, file.string) == 0 else { throw Errno(rawValue: errno) }
    }

    private struct Servers: Encodable {
        let mcpServers: [String: MCPServer.Configuration]

        init(_ servers: [AgentSettings.NamedMCPServer]) {
            mcpServers = Dictionary(servers.map { ($0.name, $0.config) }, uniquingKeysWith: { $1 })
        }
    }
}
