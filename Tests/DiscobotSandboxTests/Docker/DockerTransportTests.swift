// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import Testing

@testable import DiscobotSandbox

/// Engines that are reached over TCP, with and without TLS.
@Suite(.timeLimit(.minutes(20)))
struct DockerTransportTests {
    /// Answers whatever it is asked as an engine answers `/_ping`.
    private final class Pong: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let text = "HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK"
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
            context.close(promise: nil)
        }
    }

    private func with(_ tls: NIOSSLContext?, _ body: (Int) async throws -> Void) async throws {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    try channel.pipeline.syncOperations.addHandler(Pong())
                }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
        let result: Result<Void, any Error>
        do { result = .success(try await body(server.localAddress?.port ?? 0)) } catch { result = .failure(error) }
        try await server.close()
        try result.get()
    }

    /// An authority, and certificates for a server and a client.
    private func certificates(in directory: TemporaryDirectory, _ name: String) async throws -> String {
        try await Shell.run(
            #"""
            mkdir "$0"; cd "$0"; exec 2>/dev/null
            openssl req -x509 -newkey rsa:2048 -nodes -keyout ca-key.pem -out ca.pem -subj /CN=authority -days 2
            echo subjectAltName=IP:127.0.0.1 >names
            for who in server- ""; do
                openssl req -newkey rsa:2048 -nodes -keyout "${who}key.pem" -out "${who}request" -subj /CN=peer
                openssl x509 -req -in "${who}request" -CA ca.pem -CAkey ca-key.pem -CAcreateserial \
                    -out "${who}cert.pem" -days 2 -extfile names
            done
            """#,
            directory.file(name)
        )
        return directory.file(name)
    }

    private func serverContext(_ directory: String) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(directory + "/server-cert.pem")
                .map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: directory + "/server-key.pem", format: .pem))
        )
        // As engines do, it wants to know who asks.
        configuration.trustRoots = .file(directory + "/ca.pem")
        configuration.certificateVerification = .noHostnameVerification
        return try NIOSSLContext(configuration: configuration)
    }

    @Test func `an engine is reached over plain TCP`() async throws {
        try await with(nil) { port in
            let address = try #require(DockerAddress(host: "tcp://127.0.0.1:\(port)"))
            let version = try await DockerClient(address).negotiate()
            #expect(version == DockerVersion(1, 45))
        }
    }

    @Test func `an engine is reached over TLS by those whom it knows, and only if we know it`() async throws {
        try await TemporaryDirectory.with { directory in
            let ours = try await certificates(in: directory, "ours")
            let others = try await certificates(in: directory, "others")
            try await with(try serverContext(ours)) { port in
                func version(_ certificates: String?, isVerified: Bool) async throws -> DockerVersion {
                    let host = "tcp://127.0.0.1:\(port)"
                    let address = DockerAddress(host: host, certificates: certificates, isVerified: isVerified)
                    return try await DockerClient(try #require(address)).negotiate()
                }
                let verified = try await version(ours, isVerified: true)
                #expect(verified == DockerVersion(1, 45))
                #expect(try await version(ours, isVerified: false) == DockerVersion(1, 45))
                for certificates in [others, directory.file("absent"), nil] {
                    let error = await #expect(throws: DockerError.self) {
                        _ = try await version(certificates, isVerified: true)
                    }
                    #expect(error?.code == .unreachable)
                    #expect(error?.message.contains("certificates") == true)
                    #expect(error?.remedy?.contains("DOCKER_CERT_PATH") == true)
                    #expect(error?.cause?.isEmpty == false)
                }
                let error = await #expect(throws: DockerError.self) {
                    _ = try await version(others, isVerified: false)
                }
                #expect(error?.code == .unreachable)
            }
        }
    }
}
