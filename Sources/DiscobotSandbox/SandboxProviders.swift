// SPDX-License-Identifier: Apache-2.0

/// The providers of a server, by name.
package actor SandboxProviders {
    package typealias NamedState = (name: String, state: ProviderState)

    /// Looking starts processes and asks daemons, and pages ask often.
    private static let lifetime: Duration = .seconds(5)

    private nonisolated let providers: [any SandboxProvider]
    private var known: (states: [NamedState], time: ContinuousClock.Instant)?
    private var looking: Task<[NamedState], Never>?

    package init(_ providers: [any SandboxProvider]) {
        self.providers = providers
    }

    package nonisolated var names: Set<String> { Set(providers.map(\.name)) }

    /// Throws `SandboxError` for a name that no provider has.
    package nonisolated func provider(named name: String) throws -> any SandboxProvider {
        guard let provider = providers.first(where: { $0.name == name }) else {
            throw SandboxError(.unavailable, "there is no sandbox provider \(name)")
        }
        return provider
    }

    /// All of them, in order of preference.
    package nonisolated var all: [any SandboxProvider] { providers }

    /// The name of the provider that is used where none is asked for. Throws `SandboxError` when none can be used.
    package func defaultName() async throws -> String {
        let states = await states()
        if let usable = states.first(where: { $0.state.problem == nil }) { return usable.name }
        let problems = states.compactMap { name, state in state.problem.map { "\(name): \($0.reason). \($0.remedy)" } }
        throw SandboxError(.unavailable, "no sandbox provider can be used. " + problems.joined(separator: " "))
    }

    /// The state of each provider, in order of preference, as it was within the last seconds.
    package func states() async -> [NamedState] {
        if let known, ContinuousClock.now - known.time < Self.lifetime { return known.states }
        if let looking { return await looking.value }
        // Shared by all who ask meanwhile, whoever of them gives up.
        let task = Task { await look() }
        looking = task
        let states = await task.value
        looking = nil
        known = (states, ContinuousClock.now)
        return states
    }

    private func look() async -> [NamedState] {
        await withTaskGroup(of: (Int, ProviderState).self) { group in
            for (index, provider) in providers.enumerated() {
                group.addTask { (index, await provider.state()) }
            }
            var states: [Int: ProviderState] = [:]
            for await (index, state) in group { states[index] = state }
            return providers.enumerated().compactMap { index, provider in
                states[index].map { (provider.name, $0) }
            }
        }
    }

    /// The first that can be used, else the first of all.
    package static func defaultName(among states: [NamedState]) -> String {
        (states.first { $0.state.problem == nil } ?? states.first)?.name ?? ""
    }
}
