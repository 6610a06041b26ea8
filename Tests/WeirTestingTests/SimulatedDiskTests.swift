import Testing
import WeirCore
import WeirTesting

@Suite struct SimulatedDiskTests {
  private func open(_ simulation: SimulatedWorld, _ path: String, _ mode: DiskMode) throws -> any DiskFile {
    var result: Result<any DiskFile, DiskFailure>?
    simulation.disk.open(path, mode) { result = $0 }
    simulation.loop.run()
    return try #require(result).get()
  }

  private func failure(_ simulation: SimulatedWorld, _ ask: (@escaping (DiskFailure?) -> Void) -> Void) -> String? {
    var answers: [String?] = []
    ask { answers.append($0?.code) }
    simulation.loop.run()
    #expect(answers.count == 1)
    return answers.first ?? nil
  }

  @Test func answersComeInTheOrderAsked() throws {
    let simulation = SimulatedWorld(seed: 1)
    let file = try open(simulation, "/tmp/a", .create)
    var log: [String] = []
    file.write(Array("hello".utf8), at: 0) { _ in log.append("written") }
    file.read(at: 1, count: 3) { log.append(String(decoding: (try? $0.get()) ?? [], as: UTF8.self)) }
    file.truncate(to: 2) { _ in log.append("cut") }
    file.size { log.append("\((try? $0.get()) ?? -1)") }
    file.read(at: 9, count: 3) { log.append("\((try? $0.get()) ?? [1])") }
    #expect(log.isEmpty)
    simulation.loop.run()
    #expect(log == ["written", "ell", "cut", "2", "[]"])
  }

  @Test func synchronisedBytesUnderSynchronisedNamesSurviveEveryCrash() throws {
    var outcomes: Set<[UInt8]?> = []
    for seed in 1...300 as ClosedRange<UInt64> {
      let simulation = SimulatedWorld(seed: seed)
      let file = try open(simulation, "/tmp/log", .create)
      file.write([1, 2, 3, 4], at: 0) { _ in }
      #expect(failure(simulation, file.synchronize) == nil)
      #expect(failure(simulation) { simulation.disk.synchronizeDirectory("/tmp", $0) } == nil)
      file.write([5, 6, 7, 8], at: 4) { _ in Issue.record("answered after the crash") }
      simulation.disk.crash()
      simulation.loop.run()
      let left = try #require(simulation.disk.content("/tmp/log"))
      #expect(left.starts(with: [1, 2, 3, 4]), "\(simulation)")
      outcomes.insert(left)
    }
    // Kept, lost, and several ways of being torn.
    #expect(outcomes.contains([1, 2, 3, 4]) && outcomes.contains([1, 2, 3, 4, 5, 6, 7, 8]) && outcomes.count > 6)
  }

  @Test func namesAreDurableOnlyWithTheirDirectory() throws {
    var kept = 0
    for seed in 1...100 as ClosedRange<UInt64> {
      let simulation = SimulatedWorld(seed: seed)
      let file = try open(simulation, "/tmp/new", .create)
      #expect(failure(simulation, file.synchronize) == nil)
      simulation.disk.crash()
      if simulation.disk.content("/tmp/new") != nil { kept += 1 }
    }
    #expect((20...80).contains(kept))
  }

  @Test func aRenameReplacesAllOrNothing() throws {
    for seed in 1...100 as ClosedRange<UInt64> {
      let simulation = SimulatedWorld(seed: seed)
      simulation.disk.setContent("/d/state", [1])
      let file = try open(simulation, "/d/state.new", .create)
      file.write([2], at: 0) { _ in }
      #expect(failure(simulation, file.synchronize) == nil)
      #expect(failure(simulation) { simulation.disk.rename("/d/state.new", "/d/state", $0) } == nil)
      #expect(simulation.disk.content("/d/state") == [2])
      simulation.disk.crash()
      #expect([[1], [2]].contains(simulation.disk.content("/d/state")), "\(simulation)")
    }
  }

  @Test func aFullDiskKeepsWhatFitsAndSaysSo() throws {
    let simulation = SimulatedWorld(seed: 3)
    simulation.disk.capacity = 10
    let file = try open(simulation, "/tmp/a", .create)
    #expect(failure(simulation) { file.write([UInt8](repeating: 1, count: 8), at: 0, $0) } == nil)
    #expect(failure(simulation) { file.write([UInt8](repeating: 2, count: 8), at: 8, $0) } == "DiskFull")
    #expect(simulation.disk.content("/tmp/a")?.count == 10)
    #expect(failure(simulation) { file.write([3], at: 0, $0) } == nil)
    #expect(failure(simulation) { file.truncate(to: 0, $0) } == nil)
    #expect(failure(simulation) { file.write([UInt8](repeating: 2, count: 8), at: 0, $0) } == nil)
  }

  @Test func aReadOnlyDiskRefusesEveryChange() throws {
    let simulation = SimulatedWorld(seed: 4)
    simulation.disk.setContent("/d/a", [1])
    simulation.disk.isReadOnly = true
    let disk = simulation.disk
    let file = try open(simulation, "/d/a", .read)
    #expect(failure(simulation) { file.write([2], at: 0, $0) } == "FileAccessDenied")
    #expect(failure(simulation) { disk.remove("/d/a", $0) } == "FileAccessDenied")
    #expect(failure(simulation) { disk.rename("/d/a", "/d/b", $0) } == "FileAccessDenied")
    #expect(failure(simulation) { disk.makeDirectory("/e", $0) } == "FileAccessDenied")
    for mode in [DiskMode.create, .append, .readWrite] {
      #expect(throws: DiskFailure.denied("/d/a")) { try open(simulation, "/d/a", mode) }
    }
    #expect(disk.content("/d/a") == [1])
  }

  @Test func aFailedSynchronisationLosesForGood() throws {
    let simulation = SimulatedWorld(seed: 5)
    simulation.disk.setContent("/d/a", [1])
    let file = try open(simulation, "/d/a", .readWrite)
    #expect(failure(simulation) { file.write([2], at: 0, $0) } == nil)
    simulation.disk.faults.diskError = 1
    #expect(failure(simulation, file.synchronize) == "DiskError")
    simulation.disk.faults.diskError = 0
    #expect(failure(simulation, file.synchronize) == "DiskError")
    let again = try open(simulation, "/d/a", .readWrite)
    #expect(failure(simulation, again.synchronize) == nil)
    #expect(simulation.disk.content("/d/a") == [2])
    simulation.disk.crash()
    #expect(simulation.disk.content("/d/a") == [1])
  }

  @Test func aClosedFileAnswersWithAFailure() throws {
    let simulation = SimulatedWorld(seed: 7)
    let file = try open(simulation, "/tmp/a", .create)
    file.close()
    #expect(failure(simulation) { file.write([1], at: 0, $0) } == "DiskError")
    #expect(failure(simulation, file.synchronize) == "DiskError")
    #expect(simulation.disk.content("/tmp/a") == [])
  }

  @Test func namesAndModes() throws {
    let simulation = SimulatedWorld(seed: 6)
    let disk = simulation.disk
    #expect(throws: DiskFailure.notFound("/tmp/a")) { try open(simulation, "/tmp/a", .read) }
    #expect(throws: DiskFailure.notFound("/tmp/a")) { try open(simulation, "/tmp/a", .readWrite) }
    #expect(throws: DiskFailure.notFound("/no/a")) { try open(simulation, "/no/a", .create) }
    _ = try open(simulation, "/tmp/a", .create)
    #expect(throws: DiskFailure.exists("/tmp/a")) { try open(simulation, "/tmp/a", .create) }
    let appended = try open(simulation, "/tmp/a", .append)
    #expect(failure(simulation) { appended.write([1], at: 0, $0) } == nil)
    #expect(failure(simulation) { appended.write([2], at: 0, $0) } == nil)
    #expect(disk.content("/tmp/a") == [1, 2])
    #expect(failure(simulation) { disk.makeDirectory("/tmp/d", $0) } == nil)
    #expect(failure(simulation) { disk.makeDirectory("/tmp/d", $0) } == "FileExists")
    var names: [String] = []
    disk.list("/tmp") { names = (try? $0.get()) ?? [] }
    var whole: Result<[UInt8], DiskFailure>?
    disk.read("/tmp/a", limit: 1) { whole = $0 }
    simulation.loop.run()
    #expect(names == ["a", "d"])
    #expect(whole == .failure(.tooLarge("/tmp/a", limit: 1)))
    _ = try open(simulation, "/tmp/d/x", .append)
    #expect(failure(simulation) { disk.remove("/tmp/d", $0) } == "DiskError")
    #expect(failure(simulation) { disk.remove("/tmp/d/x", $0) } == nil)
    #expect(failure(simulation) { disk.remove("/tmp/d", $0) } == nil)
  }
}
