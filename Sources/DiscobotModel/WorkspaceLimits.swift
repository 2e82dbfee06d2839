// SPDX-License-Identifier: Apache-2.0

extension Workspace {
    /// What each sandbox of a workspace may use, where that is not what the server's settings say: nil is theirs, 0 no limit.
    /// Its properties are its JSON.
    package struct Limits: Sendable, Equatable, Codable {
        package var memoryMb: Int?
        package var cpus: Double?
        package var processes: Int?
        package var fileMb: Int?
        package var shmMb: Int?
        package var diskMb: Int?

        package init() {}

        package static let names = ["memoryMb", "cpus", "processes", "fileMb", "shmMb", "diskMb"]

        /// Why these cannot be, with the name of the field; nil for those that can.
        package var problem: String? {
            let whole: [(String, Int?, Int, Int)] = [
                ("memoryMb", memoryMb, 64, 1 << 30), ("processes", processes, 16, 1 << 22),
                ("fileMb", fileMb, 1, 1 << 30), ("diskMb", diskMb, 16, 1 << 30),
            ]
            for (name, value, least, most) in whole {
                guard let value, value != 0, !(least...most).contains(value) else { continue }
                return "limits.\(name) must be 0 for no limit, or from \(least) to \(most)"
            }
            if let cpus, cpus != 0, !(0.01...4096).contains(cpus) {
                return "limits.cpus must be 0 for no limit, or from 0.01 to 4096"
            }
            if let shmMb, !(1...1 << 20).contains(shmMb) { return "limits.shmMb must be from 1 to \(1 << 20)" }
            return nil
        }
    }
}
