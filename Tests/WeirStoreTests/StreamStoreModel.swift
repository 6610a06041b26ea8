import WeirCore
import WeirStore
import WeirTesting

/// What a store means, in the fewest lines: a dictionary of arrays. Random operations are done to it and to a store;
/// every answer must be the same. Watchers that follow the store must have seen everything at the end.
final class StreamStoreModel {
  private struct Stream {
    var contentType: String
    var items: [[UInt8]] = []
    var ending: StreamEnding?
  }

  private let prefix: String
  private var streams: [StreamName: Stream] = [:]

  init(prefix: String) { self.prefix = prefix }

  func compare(with store: StoreUnderTest, seed: UInt64, operations: Int) throws {
    let random = SeededRandom(seed: seed)
    let names = try (0..<4).map { try StreamName("\(prefix)/\($0)") }
    var unseen: Set<StreamName> = []
    let watches = names.map { name in store.store.watch(name) { unseen.remove(name) } }
    defer { for watch in watches { watch.cancel() } }

    for step in 0..<operations {
      let name = random.pick(names)
      let path = name.path
      let (what, expected, found): (String, String, String)
      switch random.int(0...11) {
      case 0, 1:
        let type = random.pick(["t", "t", "u"])
        what = "create \(path) \(type)"
        if streams[name] == nil { unseen.insert(name) }
        expected = create(name, type)
        found = answer { "\(Self.describe(try store.create(path, contentType: type)))" }
      case 2...5:
        let items = (0..<random.int(0...4)).map { _ in random.bytes(random.int(0...20)) }
        let ending: StreamEnding? = random.chance(0.1) ? random.pick([.closed, .aborted(reason: "r\(step)")]) : nil
        what = "append \(path) \(items.count) \(String(describing: ending))"
        if let stream = streams[name], stream.ending == nil, !items.isEmpty || ending != nil { unseen.insert(name) }
        expected = append(name, items, ending)
        found = answer { "\(try store.append(path, bytes: items, ending: ending))" }
      case 6...8:
        let from = Offset(UInt64(random.int(0...max(1, (streams[name]?.items.count ?? 0) + 1))))
        let limit = random.pick([0, 1, 10, 50, 100_000])
        what = "read \(path) from \(from) \(limit)"
        expected = read(name, from, limit)
        found = answer {
          let batch = try store.read(path, from: from, byteLimit: limit)
          return "\(batch.items.map(\.bytes)) \(batch.next) \(String(describing: batch.ending))"
        }
      case 9:
        what = "delete \(path)"
        if streams[name] != nil { unseen.insert(name) }
        expected = streams.removeValue(forKey: name) == nil ? "StreamNotFound" : "deleted"
        found = answer {
          try store.delete(path)
          return "deleted"
        }
      case 10:
        what = "status \(path)"
        expected = streams[name].map { describe(name, $0) } ?? "StreamNotFound"
        found = answer { Self.describe(try store.status(path)) }
      default:
        let after = random.chance(0.5) ? name : nil
        let limit = random.int(0...5)
        what = "list after \(String(describing: after)) \(limit)"
        let listed = streams.keys.sorted().filter { name in after.map { name > $0 } ?? true }.prefix(limit)
        expected = listed.map { describe($0, streams[$0]!) }.joined(separator: ", ")
        found = answer {
          try store.list(prefix: prefix + "/", after: after, limit: limit).map(Self.describe).joined(separator: ", ")
        }
      }
      try hold(
        expected == found && unseen.isEmpty,
        "seed \(seed), step \(step), \(what): expected \(expected), found \(found); not woken: \(unseen)")
    }
  }

  private func answer(_ call: () throws -> String) -> String {
    do { return try call() } catch { return (error as? StoreFailure)?.code ?? "\(error)" }
  }

  private func create(_ name: StreamName, _ type: String) -> String {
    if let stream = streams[name] {
      return stream.contentType == type ? describe(name, stream) + " existed" : "StreamConflict"
    }
    streams[name] = Stream(contentType: type)
    return describe(name, streams[name]!)
  }

  private func append(_ name: StreamName, _ items: [[UInt8]], _ ending: StreamEnding?) -> String {
    guard var stream = streams[name] else { return "StreamNotFound" }
    guard stream.ending == nil else { return "StreamEnded" }
    stream.items += items
    stream.ending = ending
    streams[name] = stream
    return "\(Offset(UInt64(stream.items.count)))"
  }

  private func read(_ name: StreamName, _ from: Offset, _ limit: Int) -> String {
    guard let stream = streams[name] else { return "StreamNotFound" }
    guard from.value <= stream.items.count else { return "OffsetBeyondTail" }
    var items: [[UInt8]] = []
    for item in stream.items[Int(from.value)...] where items.isEmpty || items.joined().count < limit {
      items.append(item)
    }
    let next = Int(from.value) + items.count
    let ending = next == stream.items.count ? stream.ending : nil
    return "\(items) \(Offset(UInt64(next))) \(String(describing: ending))"
  }

  private func describe(_ name: StreamName, _ stream: Stream) -> String {
    "\(name) \(stream.contentType) \(Offset(UInt64(stream.items.count))) \(String(describing: stream.ending))"
  }

  private static func describe(_ status: StreamStatus) -> String {
    "\(status.name) \(status.contentType) \(status.tail) \(String(describing: status.ending))"
      + (status.existed ? " existed" : "")
  }
}
