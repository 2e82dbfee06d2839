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
