// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

package enum ServiceStatus: String, Sendable, Codable {
    case running, stopped, starting, stopping
}

/// A service: a program of the working copy's `.discobot/services/`, and how it is.
package struct ServiceInfo: Sendable, Codable, Equatable {
    package var id: String
    package var name: String
    package var description: String?
    package var order: Int?
    /// The port of 127.0.0.1, inside the sandbox, at which it speaks HTTP.
    package var http: Int?
    /// The same for HTTP over TLS.
    package var https: Int?
    /// Its file, relative to the working copy.
    package var path: String
    /// Where a browser begins; with a slash in front.
    package var urlPath: String?
    package var status: ServiceStatus
    /// Only described, because something else starts it.
    package var passive: Bool?
    package var pid: Int?
    package var startedAt: Timestamp?
    /// Of the last run, as shells tell it.
    package var exitCode: Int?
    /// Why it cannot be started.
    package var problem: String?

    package init(id: String, name: String, path: String, status: ServiceStatus) {
        self.id = id
        self.name = name
        self.path = path
        self.status = status
    }
}

/// `GET /services`
package struct ServicesResponse: Sendable, Codable, Equatable {
    package let services: [ServiceInfo]

    package init(services: [ServiceInfo]) {
        self.services = services
    }
}

/// `POST /services/{id}/start` and `…/stop`
package struct ServiceResponse: Sendable, Codable, Equatable {
    package let status: ServiceStatus
    package let serviceId: String

    package init(status: ServiceStatus, serviceId: String) {
        self.status = status
        self.serviceId = serviceId
    }
}

/// Why a call about a service failed.
package struct ServiceFailure: Sendable, Codable, Equatable {
    /// A word for programs.
    package let error: String
    package let message: String
    package var pid: Int?
    /// Of a service that has ended.
    package var exitCode: Int?
    /// The end of what the service has written.
    package var output: String?

    package init(error: String, message: String, pid: Int? = nil, exitCode: Int? = nil, output: String? = nil) {
        self.error = error
        self.message = message
        self.pid = pid
        self.exitCode = exitCode
        self.output = output
    }
}

/// `GET /services/{id}/tunnel?wait=MILLISECONDS`: 101, and then the bytes of a connection to the service's port.
package enum ServiceTunnel {
    /// The protocol of the request's `Upgrade`.
    package static let name = "discobot-tunnel"
    /// The header of the answer that says what is spoken at the port: `http` or `https`.
    package static let schemeHeader = "X-Discobot-Scheme"
    /// How long the agent may be asked to wait for a service that is starting.
    package static let maximumWait = Duration.seconds(30)
}

/// One event of `GET /services/{id}/output`.
package struct ServiceOutputEvent: Sendable, Codable, Equatable {
    package enum Kind: String, Sendable, Codable {
        case stdout, stderr, exit, error
    }

    package let type: Kind
    package let data: String?
    package let exitCode: Int?
    package let error: String?
    package let timestamp: Timestamp

    package init(
        _ type: Kind,
        data: String? = nil,
        exitCode: Int? = nil,
        error: String? = nil,
        timestamp: Timestamp = .now
    ) {
        self.type = type
        self.data = data
        self.exitCode = exitCode
        self.error = error
        self.timestamp = timestamp
    }
}
