// SPDX-License-Identifier: Apache-2.0

import Logging

/// Escapes control characters in what is logged.
///
/// Texts of errors come from git, remotes and clients: a line break in one could pass for a line of the log, and an
/// escape sequence would reach the terminal of whoever reads it.
struct EscapingLogHandler<Base: LogHandler>: LogHandler {
    private var base: Base

    init(_ base: Base) {
        self.base = base
    }

    var metadata: Logger.Metadata {
        get { base.metadata }
        set { base.metadata = newValue.mapValues(\.escaped) }
    }

    var metadataProvider: Logger.MetadataProvider? {
        get { base.metadataProvider }
        set { base.metadataProvider = newValue }
    }

    var logLevel: Logger.Level {
        get { base.logLevel }
        set { base.logLevel = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { base[metadataKey: key] }
        set { base[metadataKey: key] = newValue?.escaped }
    }

    func log(event: LogEvent) {
        var event = event
        event.message = "\(event.message.description.escapingControls)"
        event.metadata = event.metadata?.mapValues(\.escaped)
        if let error = event.error {
            event.error = nil
            event.metadata = (event.metadata ?? [:]).merging(["error": "\("\(error)".escapingControls)"]) { own, _ in
                own
            }
        }
        base.log(event: event)
    }
}

extension Logger.MetadataValue {
    fileprivate var escaped: Self {
        switch self {
        case .string(let text): .string(text.escapingControls)
        case .stringConvertible(let value): .string(value.description.escapingControls)
        case .array(let values): .array(values.map(\.escaped))
        case .dictionary(let values): .dictionary(values.mapValues(\.escaped))
        }
    }
}

extension String {
    /// With line breaks and other control characters as escapes, as Swift writes them.
    fileprivate var escapingControls: String {
        guard unicodeScalars.contains(where: \.isControl) else { return self }
        return unicodeScalars.reduce(into: "") { $0 += $1.isControl ? $1.escaped(asASCII: true) : String($1) }
    }
}

extension Unicode.Scalar {
    /// Also the two separators that some readers take for line breaks.
    fileprivate var isControl: Bool {
        properties.generalCategory == .control || value == 0x2028 || value == 0x2029
    }
}
