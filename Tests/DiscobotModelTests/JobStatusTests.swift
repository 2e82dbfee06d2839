// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Testing

struct JobStatusTests {
    @Test
    func `a failed attempt is repeated until there were enough`() {
        #expect(JobStatus.after(.failed(retryable: true), attempts: 1, maxAttempts: 3) == .pending)
        #expect(JobStatus.after(.failed(retryable: true), attempts: 3, maxAttempts: 3) == .failed)
    }

    @Test
    func `what cannot be mended is not repeated`() {
        #expect(JobStatus.after(.failed(retryable: false), attempts: 1, maxAttempts: 3) == .failed)
    }

    @Test
    func `an interrupted attempt waits for the next server, however many there were`() {
        #expect(JobStatus.after(.interrupted, attempts: 3, maxAttempts: 3) == .pending)
    }

    @Test
    func `success and cancellation end a job`() {
        #expect(JobStatus.after(.succeeded, attempts: 1, maxAttempts: 3) == .completed)
        #expect(JobStatus.after(.cancelled, attempts: 1, maxAttempts: 3) == .cancelled)
    }
}
