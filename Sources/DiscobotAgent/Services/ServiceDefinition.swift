// SPDX-License-Identifier: Apache-2.0

/// A service as its file describes it.
struct ServiceDefinition: Sendable, Equatable {
    enum Endpoint: Sendable, Equatable {
        case http(Int)
        case https(Int)

        var port: Int {
            switch self {
            case .http(let port), .https(let port): port
            }
        }
    }

    let id: String
    let name: String
    let description: String?
    let order: Int?
    let endpoint: Endpoint?
    /// Its file, relative to the working copy.
    let path: String
    let urlPath: String?
    /// Only described, because something else starts it.
    let isPassive: Bool
    /// Why it cannot be started.
    let problem: String?

    static let folder = ".discobot/services"

    /// Nil for a file that is no service, such as a note beside them.
    init?(_ file: ConventionFiles.File) {
        let matter = file.frontMatter
        let (endpoint, complaint) = Self.endpoint(matter)
        isPassive = endpoint != nil && matter.hasEmptyBody
        guard isPassive || !matter.fields.isEmpty || (file.isExecutable && matter.hasInterpreter) else { return nil }
        id = file.id
        name = matter["name"] ?? file.id
        description = matter["description"]
        order = matter["order"].flatMap { Int($0) }
        self.endpoint = endpoint
        path = file.path
        urlPath = matter["path"].map { $0.hasPrefix("/") ? $0 : "/\($0)" }
        if isPassive {
            problem = nil
        } else if !matter.hasInterpreter {
            problem = "the file must begin with a line such as #!/bin/sh"
        } else if !file.isExecutable {
            problem = "the file is not executable; run chmod +x \(file.path)"
        } else {
            problem = complaint
        }
    }

    /// The services of a working copy, in the order in which they are shown.
    static func all(in root: String) -> [ServiceDefinition] {
        ConventionFiles(folder, in: root).all().compactMap(ServiceDefinition.init).sorted { left, right in
            let orders = (left.order ?? .max, right.order ?? .max)
            return orders.0 == orders.1 ? (left.name, left.id) < (right.name, right.id) : orders.0 < orders.1
        }
    }

    private static func endpoint(_ matter: FrontMatter) -> (Endpoint?, problem: String?) {
        for (name, make) in [("http", Endpoint.http), ("https", Endpoint.https)] {
            guard let text = matter[name] else { continue }
            guard let port = Int(text), (1...65535).contains(port) else {
                return (nil, "\(name) must be a port from 1 to 65535")
            }
            return (make(port), nil)
        }
        return (nil, nil)
    }
}
