import WeirCore
import WeirStore
import WeirTesting

/// A store with its operations as plain calls: each pumps (the simulation's loop, or a real one) until it is answered.
final class StoreUnderTest {
  let store: any StreamStore
  private let pumpOnce: () -> Void
  private let passTime: (Duration) -> Void
  /// Set before anything with a lifetime is made: a simulation that runs until nothing is left to do would see its end.
  var isTimed = false

  /// `pump` lets everything happen that was asked for, `pass` time besides.
  init(_ store: any StreamStore, pump: @escaping () -> Void, pass: @escaping (Duration) -> Void) {
    self.store = store
    pumpOnce = pump
    passTime = pass
  }

  convenience init(_ store: any StreamStore, _ loop: SimulatedLoop) {
    self.init(store, pump: { loop.run() }, pass: { loop.advance(by: $0) })
  }

  /// Lets everything happen that was asked for.
  func pump() { if isTimed { passTime(.milliseconds(20)) } else { pumpOnce() } }

  func pass(milliseconds: Int) { passTime(.milliseconds(milliseconds)) }

  private func ask<T>(_ question: (@escaping Answer<T>) -> Void) throws -> T {
    var answers: [Result<T, StoreFailure>] = []
    question { answers.append($0) }
    pump()
    for _ in 0..<20 where answers.isEmpty { pump() }
    guard answers.count == 1 else { throw Violation(line: #line, why: "answered \(answers.count) times") }
    return try answers[0].get()
  }

  @discardableResult
  func create(_ name: String, contentType: String = "application/json") throws -> StreamStatus {
    let name = try StreamName(name)
    return try ask { store.create(name, contentType: contentType, $0) }
  }

  @discardableResult
  func create(_ name: String, _ creation: StreamCreation) throws -> StreamStatus {
    let name = try StreamName(name)
    return try ask { store.create(name, creation, $0) }
  }

  /// A fork of `source` that leaves everything else to it.
  @discardableResult
  func fork(_ name: String, of source: String, at offset: UInt64? = nil, sub: UInt64 = 0) throws -> StreamStatus {
    let fork = StreamFork(source: try StreamName(source), offset: offset.map { Offset($0) }, subOffset: sub)
    return try create(name, StreamCreation(fork: fork))
  }

  @discardableResult
  func append(_ name: String, _ append: StreamAppend) throws -> StreamAppended {
    let name = try StreamName(name)
    return try ask { store.append(name, append, $0) }
  }

  @discardableResult
  func append(_ name: String, _ texts: [String], ending: StreamEnding? = nil) throws -> Offset {
    try append(name, bytes: texts.map { Array($0.utf8) }, ending: ending)
  }

  @discardableResult
  func append(_ name: String, bytes: [[UInt8]], ending: StreamEnding? = nil) throws -> Offset {
    let name = try StreamName(name)
    return try ask { store.append(name, bytes, ending: ending, $0) }
  }

  func status(_ name: String) throws -> StreamStatus {
    let name = try StreamName(name)
    return try ask { store.status(name, $0) }
  }

  func read(_ name: String, from: Int, byteLimit: Int = 1 << 20) throws -> StreamBatch {
    try read(name, from: Offset(UInt64(from)), byteLimit: byteLimit)
  }

  func read(_ name: String, from: Offset = .start, byteLimit: Int = 1 << 20) throws -> StreamBatch {
    let name = try StreamName(name)
    return try ask { store.read(name, from: from, byteLimit: byteLimit, $0) }
  }

  /// Batch by batch to the tail.
  func readAll(_ name: String, byteLimit: Int = 4096) throws -> StreamBatch {
    var all = StreamBatch(items: [], next: .start, ending: nil, createdAt: try status(name).createdAt)
    while true {
      let batch = try read(name, from: all.next, byteLimit: byteLimit)
      all.items += batch.items
      all.next = batch.next
      all.ending = batch.ending
      if batch.items.isEmpty || batch.ending != nil { return all }
      try hold(batch.next.value == UInt64(all.items.count), "\(all.items.count) items, but \(batch.next)")
    }
  }

  func delete(_ name: String) throws {
    let name = try StreamName(name)
    try ask { store.delete(name, $0) }
  }

  func list(prefix: String = "", after: StreamName? = nil, limit: Int = 1000) throws -> [StreamStatus] {
    try ask { store.list(prefix: prefix, after: after, limit: limit, $0) }
  }

  /// The failure that a call ends with; nil if it succeeds.
  func failure<T>(_ call: (StoreUnderTest) throws -> T) -> StoreFailure? {
    do {
      _ = try call(self)
      return nil
    } catch {
      return error as? StoreFailure ?? .unavailable("\(error)")
    }
  }
}

/// A promise that a store broke. Thrown rather than recorded, so that a store that should break one can be tested.
struct Violation: Error, CustomStringConvertible {
  var line: Int
  var why: String
  var description: String { "the promise of line \(line) is broken \(why)" }
}

func hold(_ condition: Bool, _ why: @autoclosure () -> String = "", line: Int = #line) throws {
  if !condition { throw Violation(line: line, why: why()) }
}

extension StreamBatch {
  var texts: [String] { items.map { String(decoding: $0.bytes, as: UTF8.self) } }
}

extension Result<Offset, StoreFailure> {
  var code: String { if case .failure(let failure) = self { failure.code } else { "ok" } }
}

extension Result<StreamStatus, StoreFailure> {
  var code: String { if case .failure(let failure) = self { failure.code } else { "ok" } }
}
