// SPDX-License-Identifier: Apache-2.0

/// Where a workspace stands on its way to a usable working copy.
package enum WorkspaceStatus: String, Sendable, CaseIterable {
    case initializing, cloning, ready, error

    /// What can happen to a workspace.
    package enum Transition: Sendable, CaseIterable {
        /// Preparation starts over: after a change of path, or another attempt after an error.
        case restart
        case startCloning
        case finish
        case fail
    }

    /// The status after `transition`; nil when that cannot happen now.
    package func after(_ transition: Transition) -> WorkspaceStatus? {
        switch (self, transition) {
        case (_, .restart): .initializing
        case (.initializing, .startCloning), (.cloning, .startCloning): .cloning
        case (.initializing, .finish), (.cloning, .finish), (.ready, .finish): .ready
        case (.initializing, .fail), (.cloning, .fail), (.error, .fail): .error
        default: nil
        }
    }
}
