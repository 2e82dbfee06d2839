// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
import Synchronization

/// Tells readers which sandboxes have changed. It carries ids only and states are looked up when they are read, so a
/// slow reader gets the newest, and what waits for it is never more than one id for each sandbox.
package final class SandboxChangeFeed: Sendable {
    private struct Readers {
        var next = 0
        var all: [Int: SandboxChangeReader] = [:]
    }

    private let readers = Mutex(Readers())

    package init() {}

    package func publish(_ id: ID<Session>) {
        for reader in readers.withLock({ Array($0.all.values) }) { reader.add(id) }
    }

    /// The sandboxes that `known` names, then those that change. A state that `look` cannot tell is asked
    /// for again, unless there is no engine.
    package func changes(
        known: @escaping @Sendable () async -> [ID<Session>],
        look: @escaping @Sendable (ID<Session>) async throws -> Sandbox?
    ) -> AsyncStream<SandboxChange> {
        let reader = SandboxChangeReader(known: known, look: look)
        let number = readers.withLock { readers in
            readers.next += 1
            readers.all[readers.next] = reader
            return readers.next
        }
        return AsyncStream {
            let change = await reader.next()
            if change == nil { self.forget(number) }
            return change
        } onCancel: {
            self.forget(number)
            reader.finish()
        }
    }

    private func forget(_ number: Int) {
        readers.withLock { $0.all[number] = nil }
    }
}

/// One reader's place in the feed. It is read by one task.
private final class SandboxChangeReader: Sendable {
    private struct State {
        var hasStarted = false
        var isFinished = false
        var pending: [ID<Session>] = []
        var told: [ID<Session>: Sandbox] = [:]
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())
    private let known: @Sendable () async -> [ID<Session>]
    private let look: @Sendable (ID<Session>) async throws -> Sandbox?

    init(
        known: @escaping @Sendable () async -> [ID<Session>],
        look: @escaping @Sendable (ID<Session>) async throws -> Sandbox?
    ) {
        self.known = known
        self.look = look
    }

    func add(_ id: ID<Session>) {
        wake { if !$0.pending.contains(id) { $0.pending.append(id) } }
    }

    func finish() {
        wake { $0.isFinished = true }
    }

    private func wake(_ change: (inout sending State) -> Void) {
        let waiter = state.withLock { state in
            change(&state)
            let waiter = state.waiter
            state.waiter = nil
            return waiter
        }
        waiter?.resume()
    }

    func next() async -> SandboxChange? {
        if state.withLock({ !$0.hasStarted }) {
            for id in await known() { add(id) }
            state.withLock { $0.hasStarted = true }
        }
        while !Task.isCancelled {
            let (isFinished, id) = state.withLock { state in
                (state.isFinished, state.pending.isEmpty ? nil : state.pending.removeFirst())
            }
            if isFinished { return nil }
            guard let id else {
                await wait()
                continue
            }
            if let sandbox = await sandbox(of: id), tells(id, sandbox) {
                return SandboxChange(sessionID: id, sandbox: sandbox)
            }
        }
        return nil
    }

    /// Nil when it cannot be told, as without an engine. Whatever else it is may pass: it has its
    /// turn again, behind the others.
    private func sandbox(of id: ID<Session>) async -> Sandbox?? {
        do {
            return try await look(id)
        } catch let error as SandboxError where error.code == .unavailable {
            // The engine's return tells of all.
        } catch {
            add(id)
            try? await Task.sleep(for: .seconds(1))
        }
        return nil
    }

    /// Whether that is news for this reader.
    private func tells(_ id: ID<Session>, _ sandbox: Sandbox?) -> Bool {
        state.withLock { state in
            guard state.told[id] != sandbox else { return false }
            state.told[id] = sandbox
            return true
        }
    }

    private func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDue = state.withLock { state in
                    guard state.pending.isEmpty, !state.isFinished else { return true }
                    state.waiter = continuation
                    return false
                }
                if isDue { continuation.resume() }
            }
        } onCancel: {
            finish()
        }
    }
}
