// SPDX-License-Identifier: Apache-2.0

extension GitRepository {
    /// The differences `request` asks for, with renames found, in the order of git.
    /// Throws `.notFound` for an unknown revision and `.tooLarge` over 32 MiB.
    package func diff(_ request: GitDiffRequest) async throws -> [GitFileDiff] {
        let paths = try request.paths.map { try GitPath($0).string }
        guard paths.reduce(0, { $0 + $1.utf8.count + 1 }) <= 64 << 10 else {
            throw GitError(.invalidArgument, "too many paths")
        }
        let output = try await command.run(["diff"] + Self.diffOptions + sides(of: request) + ["--"] + paths)
        return try GitDiffParser.parse(output.bytes)
    }

    /// As shas, so that no name of a user is on the command line of `diff`.
    private func sides(of request: GitDiffRequest) async throws -> [String] {
        guard request.head == nil || request.base != nil else {
            throw GitError(.invalidArgument, "a diff with a head needs a base")
        }
        guard request.head == nil || !request.staged else {
            throw GitError(.invalidArgument, "a diff of staged changes has no head")
        }
        var sides: [String] = []
        for ref in [request.base, request.head].compactMap({ $0 }) {
            sides.append(try await resolve(ref))
        }
        if request.staged { return ["--cached"] + sides }
        // For a file in conflict: the difference to our side instead of a combined diff, which has another format.
        return sides.isEmpty ? ["--ours"] : sides
    }

    /// Everything configuration could change about the output, fixed; and no external program is run.
    private static let diffOptions = ["--patch"] + commonDiffOptions
    static let commonDiffOptions = [
        "--raw", "--numstat", "-z", "--find-renames", "--unified=3", "--submodule=short",
        "--no-ext-diff", "--no-textconv", "--no-color", "--no-relative", "--src-prefix=a/", "--dst-prefix=b/",
    ]
}
