// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

/// Puts a program into a runtime's working copy.
func addProgram(_ name: String, _ text: String, in directory: TemporaryDirectory) throws {
    let path = directory.file("data/workspace/.discobot/\(name)")
    try FileManager.default.createDirectory(
        atPath: (path as NSString).deletingLastPathComponent,
        withIntermediateDirectories: true
    )
    try Data(text.utf8).write(to: URL(filePath: path))
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
}

/// How many processes have this among their arguments.
func processes(mentioning text: String) -> Int {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { Int32($0) }.count { process in
        let arguments = FileManager.default.contents(atPath: "/proc/\(process)/cmdline") ?? Data()
        return process != getpid() && arguments.firstRange(of: Data(text.utf8)) != nil
    }
}

extension AgentClient {
    func service(_ id: String) async throws -> ServiceInfo {
        try #require(try await services().first { $0.id == id })
    }

    /// The frames of a service's output until one contains `text`, or all of them.
    func serviceFrames(_ id: String, after last: String? = nil, until text: String? = nil) async throws -> [String] {
        struct Enough: Error {}
        var frames: [String] = []
        do {
            try await followServiceOutput(id, after: last) { bytes in
                for frame in String(decoding: bytes, as: UTF8.self).components(separatedBy: "\n\n")
                where frame.count > 1 {
                    frames.append(frame)
                    if let text, frame.contains(text) { throw CancellationError() }
                }
            }
        } catch is CancellationError {
            return frames
        }
        return frames
    }
}

/// The data of frames, put together.
func data(of frames: [String], type: String = "stdout") -> String {
    frames.compactMap { frame -> String? in
        guard let start = frame.range(of: "data: ") else { return nil }
        let json = JSON(Data(frame[start.upperBound...].utf8))
        return json["type"].string == type ? json["data"].string : nil
    }
    .joined()
}

func code(_ body: () async throws -> Void) async -> AgentError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? AgentError)?.code
    }
}
