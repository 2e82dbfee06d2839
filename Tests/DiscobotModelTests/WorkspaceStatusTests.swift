// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Testing

struct WorkspaceStatusTests {
    @Test
    func `a clone goes from initializing over cloning to ready`() {
        #expect(WorkspaceStatus.initializing.after(.startCloning) == .cloning)
        #expect(WorkspaceStatus.cloning.after(.finish) == .ready)
    }

    @Test
    func `a local workspace needs no cloning`() {
        #expect(WorkspaceStatus.initializing.after(.finish) == .ready)
    }

    @Test(arguments: [WorkspaceStatus.initializing, .cloning])
    func `preparation can fail`(status: WorkspaceStatus) {
        #expect(status.after(.fail) == .error)
    }

    @Test(arguments: WorkspaceStatus.allCases)
    func `preparation can start over at any time`(status: WorkspaceStatus) {
        #expect(status.after(.restart) == .initializing)
    }

    @Test
    func `a late report changes nothing`() {
        #expect(WorkspaceStatus.ready.after(.startCloning) == nil)
        #expect(WorkspaceStatus.ready.after(.fail) == nil)
        #expect(WorkspaceStatus.error.after(.finish) == nil)
        #expect(WorkspaceStatus.error.after(.startCloning) == nil)
    }
}
