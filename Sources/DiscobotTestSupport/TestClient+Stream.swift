// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import NIOCore
import NIOHTTP1

extension TestClient {
    /// What an answer that goes on says, until that is enough or the answer ends.
    package func stream(
        _ path: String,
        headers: [String: String] = [:],
        until isEnough: (String) -> Bool
    ) async throws -> String {
        var request = HTTPClientRequest(url: base + path)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        let response = try await HTTPClient.shared.execute(request, deadline: .now() + .seconds(240))
        var text = ""
        for try await buffer in response.body {
            text += String(buffer: buffer)
            if isEnough(text) { break }
        }
        return text
    }
}
