// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import DiscobotModel
import FoundationEssentials
import NIOCore
import NIOHTTP1
import NIOSSL
import Synchronization

/// Talks to one Docker Engine, by the newest version of its API that both know. Everything throws `DockerError` or
/// `CancellationError`. Podman's compatible API is spoken to alike.
package final class DockerClient: Sendable {
    /// The newest version of the API that is understood, and the oldest that has all that is used.
    static let newestVersion = DockerVersion(1, 47)
    static let oldestVersion = DockerVersion(1, 40)
    private static let maximumAnswer = 8 << 20
    /// Of a list: some kilobytes for each of many sandboxes.
    static let maximumList = 64 << 20

    package let address: DockerAddress
    private let version = Mutex<DockerVersion?>(nil)
    /// What the engine has said of itself, as long as it is there.
    let knownInfo = Mutex<DockerInfo?>(nil)
    let infos = SharedTasks<Int, DockerInfo>()
    private let encryption = Mutex<TLSConfiguration?>(nil)

    package init(_ address: DockerAddress) {
        self.address = address
    }

    /// The answer's body; a status other than `accepted` is thrown.
    func call(
        _ method: HTTPMethod,
        _ path: String,
        query: [(String, String)] = [],
        body: DockerBody = .none,
        headers: [(String, String)] = [],
        within limit: Duration = .seconds(30),
        upTo maximum: Int = maximumAnswer
    ) async throws -> ByteBuffer {
        try await Self.limited(to: limit, address) {
            let response = try await self.open(method, path, query: query, body: body, headers: headers, within: limit)
            return try await self.translating { try await response.body.collect(upTo: maximum) }
        }
    }

    func value<Value: Decodable & Sendable>(
        _ method: HTTPMethod,
        _ path: String,
        query: [(String, String)] = [],
        body: DockerBody = .none,
        within limit: Duration = .seconds(30),
        upTo maximum: Int = maximumAnswer
    ) async throws -> Value {
        try Self.decode(try await call(method, path, query: query, body: body, within: limit, upTo: maximum))
    }

    static func decode<Value: Decodable>(_ body: ByteBuffer) throws -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(body.readableBytesView))
        } catch {
            throw DockerError(.invalidAnswer, "the Docker Engine answered something unreadable")
        }
    }

    /// Gives `handle` each line of an answer that goes on; `begun` is called when the engine has accepted.
    ///
    /// - Parameter headLimit: until then; nil for as long as all may take.
    func lines(
        _ method: HTTPMethod,
        _ path: String,
        query: [(String, String)] = [],
        body: DockerBody = .none,
        headers: [(String, String)] = [],
        within limit: Duration,
        headWithin headLimit: Duration? = nil,
        begun: @escaping @Sendable () async throws -> Void = {},
        handle: @escaping @Sendable (ByteBuffer) async throws -> Void
    ) async throws {
        try await Self.limited(to: limit, address) {
            let response = try await self.open(
                method,
                path,
                query: query,
                body: body,
                headers: headers,
                within: headLimit ?? limit
            )
            try await begun()
            var lines = LineSplitter()
            try await self.translating {
                for try await chunk in response.body {
                    for line in try lines.read(chunk) { try await handle(line) }
                }
                if let rest = lines.rest { try await handle(rest) }
            }
        }
    }

    /// The HTTP client's own limit ends where an answer begins.
    private static func limited<Value: Sendable>(
        to limit: Duration,
        _ address: DockerAddress,
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await withThrowingTaskGroup(of: Value.self) { group in
            group.addTask { try await body() }
            group.addTask {
                try await Task.sleep(upTo: limit)
                throw DockerError(.timedOut, "the Docker Engine at \(address.description) did not answer in time")
            }
            defer { group.cancelAll() }
            guard let value = try await group.next() else { throw CancellationError() }
            return value
        }
    }

    /// Sends a request in the version that both sides know.
    private func open(
        _ method: HTTPMethod,
        _ path: String,
        query: [(String, String)],
        body: DockerBody,
        headers: [(String, String)],
        within limit: Duration
    ) async throws -> HTTPClientResponse {
        let version = try await knownVersion()
        let fields = query.map { "\($0.percentEncoded)=\($1.percentEncoded)" }.joined(separator: "&")
        var request = try request(method, "/v\(version)\(path)" + (fields.isEmpty ? "" : "?" + fields))
        request.headers.add(contentsOf: headers)
        try body.add(to: &request)
        let response = try await execute(request, deadline: .now() + TimeAmount(limit))
        guard (200..<300).contains(response.status.code) else { throw await Self.refusal(response) }
        return response
    }

    /// The version that both know; the engine is asked when it is new.
    func knownVersion() async throws -> DockerVersion {
        let known = version.withLock { $0 }
        return if let known { known } else { try await negotiate() }
    }

    /// Asks the engine for its version, which also shows that it is there.
    @discardableResult
    package func negotiate(within limit: Duration = .seconds(30)) async throws -> DockerVersion {
        let headers = try await Self.limited(to: limit, address) {
            let response = try await self.execute(
                try self.request(.GET, "/_ping"),
                deadline: .now() + TimeAmount(limit)
            )
            guard response.status == .ok else { throw await Self.refusal(response) }
            _ = try? await response.body.collect(upTo: 1024)
            return response.headers
        }
        // Engines that do not tell are older than those that do.
        let theirs = headers.first(name: "Api-Version").flatMap { DockerVersion($0) }
        guard let theirs, theirs >= Self.oldestVersion else {
            throw DockerError(.invalidAnswer, "the Docker Engine is too old; it must know version 1.40 of its API")
        }
        let common = min(theirs, Self.newestVersion)
        version.withLock { $0 = common }
        return common
    }

    private func request(_ method: HTTPMethod, _ path: String) throws -> HTTPClientRequest {
        var request = HTTPClientRequest(url: address.baseURL + path)
        request.method = method
        // A socket's path is no valid Host header, and the engine insists on one.
        if case .unix = address { request.headers.replaceOrAdd(name: "Host", value: "docker") }
        request.tlsConfiguration = try tlsConfiguration()
        return request
    }

    private func tlsConfiguration() throws -> TLSConfiguration? {
        guard case .tcp(_, _, let directory?, let isVerified) = address else { return nil }
        return try encryption.withLock { known in
            if let known { return known }
            let configuration = try Self.tlsConfiguration(directory, isVerified: isVerified)
            known = configuration
            return configuration
        }
    }

    /// - Parameter directory: empty for the system's authorities and no certificate of our own.
    private static func tlsConfiguration(_ directory: String, isVerified: Bool) throws -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = isVerified ? .fullVerification : .none
        guard !directory.isEmpty else { return configuration }
        do {
            if isVerified { configuration.trustRoots = .file(directory + "/ca.pem") }
            configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(directory + "/cert.pem")
                .map { .certificate($0) }
            configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: directory + "/key.pem", format: .pem))
            return configuration
        } catch {
            throw DockerError(
                .unreachable,
                "the certificates for the Docker Engine in \(directory) cannot be read",
                remedy: "DOCKER_CERT_PATH must have ca.pem, cert.pem and key.pem, which the server's user can read.",
                cause: "\(error)"
            )
        }
    }

    private func execute(_ request: HTTPClientRequest, deadline: NIODeadline) async throws -> HTTPClientResponse {
        try await translating { try await Self.http.execute(request, deadline: deadline) }
    }

    private func translating<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error where error is DockerError || error is CancellationError {
            throw error
        } catch is NIOTooManyBytesError {
            throw DockerError(.invalidAnswer, "the Docker Engine's answer is too large")
        } catch let error as HTTPClientError where error == .deadlineExceeded {
            throw DockerError(.timedOut, "the Docker Engine at \(address.description) did not answer in time")
        } catch let error as HTTPClientError where error == .cancelled {
            throw CancellationError()
        } catch {
            // The next engine there may be another one.
            version.withLock { $0 = nil }
            knownInfo.withLock { $0 = nil }
            throw DockerError(connectingTo: address, error)
        }
    }

    private static func refusal(_ response: HTTPClientResponse) async -> DockerError {
        struct Body: Decodable {
            let message: String
        }
        let body = try? await response.body.collect(upTo: 64 << 10)
        let message = body.flatMap { try? JSONDecoder().decode(Body.self, from: Data($0.readableBytesView)).message }
        let status = Int(response.status.code)
        return DockerError(.refused(status: status), message ?? "the Docker Engine answered with status \(status)")
    }

    private static let http = HTTPClient(
        eventLoopGroupProvider: .singleton,
        configuration: {
            var configuration = HTTPClient.Configuration(timeout: .init(connect: .seconds(5)))
            // Starting a container takes its time, and each watch holds a connection.
            configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
            // Whoever asks has its own way of trying again.
            configuration.connectionPool.retryConnectionEstablishment = false
            configuration.redirectConfiguration = .disallow
            return configuration
        }()
    )
}
