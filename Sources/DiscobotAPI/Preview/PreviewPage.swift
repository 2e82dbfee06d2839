// SPDX-License-Identifier: Apache-2.0

/// What a person sees instead of a service.
struct PreviewPage: Sendable {
    let title: String
    let message: String
    /// The end of what the service has written.
    var output: String?
    /// Whether it is worth asking again, which the page does by itself.
    var isRetried = false

    /// Of the page nothing runs, whatever a service has written.
    static let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors *"

    var html: String {
        let refresh = isRetried ? #"<meta http-equiv="refresh" content="2">"# : ""
        let note = isRetried ? "<p class=\"note\"><span></span>This page asks again every two seconds.</p>" : ""
        let shown = output.map { $0.split(separator: "\n", omittingEmptySubsequences: false).suffix(30) } ?? []
        let log =
            shown.joined(separator: "\n").allSatisfy(\.isWhitespace)
            ? "" : "<pre>\(Self.escaped(shown.joined(separator: "\n")))</pre>"
        return """
            <!doctype html><html lang="en"><head><meta charset="utf-8">\(refresh)
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(Self.escaped(title))</title><style>\(Self.style)</style></head>
            <body><main><h1>\(Self.escaped(title))</h1><p>\(Self.escaped(message))</p>\(log)\(note)</main></body></html>
            """
    }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            case "\n", "\t": escaped.unicodeScalars.append(scalar)
            default: if scalar.value >= 0x20, scalar.value != 0x7F { escaped.unicodeScalars.append(scalar) }
            }
        }
        return escaped
    }

    private static let style = """
        :root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
        body{margin:0;min-height:100vh;display:grid;place-items:center}
        main{max-width:44rem;padding:2rem;box-sizing:border-box;width:100%}
        h1{font-size:1.4rem;margin:0 0 .5rem}
        pre{background:#8882;border-radius:.5rem;padding:1rem;overflow:auto;font-size:.85rem;max-height:50vh}
        .note{opacity:.7;font-size:.9rem;display:flex;align-items:center;gap:.6rem}
        .note span{width:.8rem;height:.8rem;border:.15rem solid #8886;border-top-color:#48f;border-radius:50%;
        animation:turn 1s linear infinite}
        @keyframes turn{to{transform:rotate(1turn)}}
        """
}
