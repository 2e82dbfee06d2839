// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import DiscobotAgent

/// What of a terminal's output those see who are not to answer, byte by byte.
struct QuestionFilterTests {
    private static let questions = [
        "\u{1B}[c", "\u{1B}[>c", "\u{1B}[=0c", "\u{1B}[5n", "\u{1B}[6n", "\u{1B}[?6n", "\u{1B}[?2026$p", "\u{1B}[>q",
        "\u{1B}[>0q", "\u{1B}[?u", "\u{1B}[14t", "\u{1B}[18t", "\u{1B}[0x", "\u{1B}[?1;1S", "\u{1B}[?4m", "\u{1B}[1$w",
        "\u{1B}Z", "\u{5}", "\u{1B}]10;?\u{7}", "\u{1B}]11;?\u{1B}\\", "\u{1B}]4;1;?\u{7}", "\u{1B}]52;c;?\u{7}",
        "\u{1B}P$qm\u{1B}\\", "\u{1B}P+q544e\u{1B}\\", "\u{1B}_Gi=31,a=q;AAAA\u{1B}\\", "\u{9B}c", "\u{9D}11;?\u{9C}",
    ]
    private static let others = [
        "plain \u{E9}\u{A9}\u{201C}\u{1F600}\r\n\t", "\u{1B}[31;1mred\u{1B}[0m", "\u{1B}c", "\u{1B}[2J\u{1B}[10;5H",
        "\u{1B}[?1049h", "\u{1B}[?2004l", "\u{1B}[>4;1m", "\u{1B}[1;24r", "\u{1B}[8;24;80t", "\u{1B}[2 q", "\u{1B}[!p",
        "\u{1B}[>1u", "\u{1B}[u", "\u{1B}[1;1;2;2$x", "\u{1B}]0;a title?\u{7}", "\u{1B}]8;;http://a/?b\u{1B}\\link",
        "\u{1B}(B", "\u{1B}7\u{1B}8", "\u{1B}Pq#0~\u{1B}\\", "\u{1B}[\u{18}x", "\u{1B}\u{1B}[A",
    ]

    private func pass(_ text: String, pieces size: Int) -> String {
        var filter = QuestionFilter()
        let bytes = Array(text.utf8)
        var passed: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            passed += filter.pass(bytes[start..<min(start + size, bytes.count)], isForAnswering: false)
        }
        return String(decoding: passed + filter.pass([], isForAnswering: true), as: UTF8.self)
    }

    @Test(arguments: [1, 2, 3, 1 << 20])
    func `questions are left out, and nothing else`(pieces size: Int) {
        for question in Self.questions {
            #expect(pass("a\(question)b", pieces: size) == "ab", "\(question.debugDescription)")
        }
        for other in Self.others {
            #expect(pass("a\(other)b", pieces: size) == "a\(other)b", "\(other.debugDescription)")
        }
        let all = zip(Self.others, Self.questions).map { $0 + $1 }.joined()
        #expect(pass(all, pieces: size) == Self.others.joined())
    }

    @Test(arguments: [100, 1 << 20])
    func `the pieces of a picture are left out`(pieces size: Int) {
        let data = String(repeating: "A", count: 4096)
        #expect(
            pass("a\u{1B}_Gi=31,s=1920,v=1080,f=24,m=1;\(data)\u{1B}\\\u{1B}_Gm=0;\(data)\u{1B}\\b", pieces: size)
                == "ab"
        )
    }

    @Test(.timeLimit(.minutes(10)))
    func `what seems to begin at each byte is gone through once`() {
        let noise = String(repeating: "\u{9D}", count: 1 << 20)
        #expect(pass(noise, pieces: 1 << 22) == noise)
    }

    @Test
    func `what never ends is not waited for`() {
        let endless = "\u{1B}]11;" + String(repeating: "x", count: 40_000)
        #expect(pass(endless, pieces: 1000) == endless)
        var filter = QuestionFilter()
        let old = filter.pass(Array("\u{1B}[".utf8), isForAnswering: false)
        #expect(old.isEmpty)
        // The question is new: half of it came before the viewer did.
        let new = filter.pass(Array("6n".utf8), isForAnswering: true)
        #expect(new == Array("\u{1B}[6n".utf8))
    }
}
