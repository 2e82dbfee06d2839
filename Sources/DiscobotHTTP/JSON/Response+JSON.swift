// SPDX-License-Identifier: Apache-2.0

package import HTTPTypes
package import Hummingbird
import NIOCore

extension Response {
    /// An answer with a JSON body.
    package static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        Response(
            status: status,
            headers: [.contentType: "application/json; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try JSONEncoding.bytes(of: value)))
        )
    }

    private struct Success: Encodable {
        let success = true
    }

    /// What is answered when there is nothing to return.
    package static func success() throws -> Response {
        try json(Success())
    }
}
