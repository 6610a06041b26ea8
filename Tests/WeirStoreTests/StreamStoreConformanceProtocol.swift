import WeirCore
import WeirStore
import WeirTesting

/// What the whole Durable Streams Protocol asks of a store: making a stream with everything at once, writers that may repeat
/// themselves, forks, and lifetimes. Sections are those of its text.
extension StreamStoreConformance {
  // MARK: Creating (5.1)

  static let creationChecks = [
    StreamStoreConformance("5.1 a stream is made with its first items and its end, in one step") { store in
      let status = try store.create(
        "a", StreamCreation(contentType: "text/plain", items: [Array("x".utf8), Array("y".utf8)], ending: .closed))
      try hold(status.tail == Offset(2) && status.ending == .closed && !status.existed)
      let batch = try store.read("a")
      try hold(batch.texts == ["x", "y"] && batch.ending == .closed)
      try hold(store.failure { try $0.append("a", ["z"]) }?.code == "StreamEnded")
      let empty = try store.create("b", StreamCreation(ending: .aborted(reason: "no")))
      try hold(empty.ending == .aborted(reason: "no") && empty.contentType == "application/octet-stream")
    },
    StreamStoreConformance("5.1 making it again with the same configuration finds it and writes nothing") { store in
      let creation = StreamCreation(
        contentType: "text/plain", lifetime: .idle(seconds: 1_000_000), items: [Array("x".utf8)])
      store.isTimed = true
      let first = try store.create("a", creation)
      let again = try store.create("a", creation)
      try hold(again.existed && again.tail == Offset(1) && again.createdAt == first.createdAt)
      var other = creation
      other.contentType = "Text/PLAIN ; charset=utf-8"
      try hold(try store.create("a", other).existed)
      let changes: [(inout StreamCreation) -> Void] = [
        { $0.contentType = "text/html" }, { $0.contentType = nil }, { $0.lifetime = nil }, { $0.ending = .closed },
        { $0.lifetime = .idle(seconds: 5) }, { $0.lifetime = .until(9_000_000_000_000) },
        { $0.fork = StreamFork(source: first.name) },
      ]
      for (i, change) in changes.enumerated() {
        var other = creation
        change(&other)
        try hold(store.failure { try $0.create("a", other) }?.code == "StreamConflict", "change \(i)")
      }
      try store.append("a", [], ending: .closed)
      try hold(store.failure { try $0.create("a", creation) }?.code == "StreamConflict")
      other = creation
      other.ending = .closed
      try hold(try store.create("a", other).existed)
    },
  ]

  // MARK: Writers (5.2)

  private static func stamp(_ epoch: UInt64, _ sequence: UInt64, _ id: String = "p") -> ProducerStamp {
    ProducerStamp(id: id, epoch: epoch, sequence: sequence)
  }

  private static func item(
    _ text: String, _ stamp: ProducerStamp? = nil, sequence: String? = nil, ending: StreamEnding? = nil,
    type: String? = nil
  ) -> StreamAppend {
    StreamAppend(
      items: text.isEmpty ? [] : [Array(text.utf8)], ending: ending, contentType: type, producer: stamp,
      sequence: sequence)
  }

  static let writerChecks = [
    StreamStoreConformance("5.2.1 a producer's repeat does nothing; a gap, an old epoch and a bad start are refused") {
      store in
      try store.create("a")
      try hold(try store.append("a", item("0", stamp(0, 0))) == StreamAppended(tail: Offset(1), sequence: 0))
      try hold(try store.append("a", item("1", stamp(0, 1))) == StreamAppended(tail: Offset(2), sequence: 1))
      for again in 0...1 as ClosedRange<UInt64> {
        let answer = try store.append("a", item("again", stamp(0, again)))
        try hold(answer == StreamAppended(tail: Offset(2), isRepeat: true, sequence: 1))
      }
      try hold(
        store.failure { try $0.append("a", item("3", stamp(0, 3))) }
          == .producerGap(try StreamName("a"), stamp(0, 3), expected: 2))
      try hold(store.failure { try $0.append("a", item("x", stamp(1, 1))) }?.code == "BadFirstSequence")
      try hold(try !store.append("a", item("2", stamp(2, 0))).isRepeat)
      try hold(
        store.failure { try $0.append("a", item("x", stamp(0, 2))) }
          == .staleProducer(try StreamName("a"), stamp(0, 2), epoch: 2))
      try hold(
        store.failure { try $0.append("a", item("x", stamp(0, 1, "q"))) }
          == .producerGap(try StreamName("a"), stamp(0, 1, "q"), expected: 0))
      try store.append("a", item("3", stamp(7, 0, "q")))
      try store.append("a", item("4", stamp(2, 1)))
      try hold(try store.readAll("a").texts == ["0", "1", "2", "3", "4"])
    },
    StreamStoreConformance("5.2.1 producers are told apart by the bytes of their ids") { store in
      try store.create("a")
      let ids = ["e\u{301}", "\u{E9}", "p\u{338}", "p"]
      for id in ids { try hold(try !store.append("a", item(id, stamp(0, 0, id))).isRepeat, "\(id.utf8.count)") }
      for id in ids { try hold(try store.append("a", item(id, stamp(0, 0, id))).isRepeat) }
      try store.append("a", item("end", stamp(0, 1, ids[0]), ending: .closed))
      try hold(store.failure { try $0.append("a", item("end", stamp(0, 1, ids[1]))) }?.code == "StreamEnded")
      try hold(try store.readAll("a").items.count == 5)
    },
    StreamStoreConformance("5.2.1 whoever ended the stream may say so again, nobody else") { store in
      try store.create("a")
      try store.append("a", item("x", stamp(0, 0)))
      let end = item("y", stamp(0, 1), ending: .closed)
      try hold(try store.append("a", end) == StreamAppended(tail: Offset(2), sequence: 1, ending: .closed))
      for _ in 0..<2 {
        let again = try store.append("a", end)
        try hold(again.isRepeat && again.tail == Offset(2) && again.ending == .closed && again.sequence == 1)
      }
      for other in [stamp(0, 0), stamp(0, 2), stamp(1, 0), stamp(0, 1, "q")] {
        try hold(store.failure { try $0.append("a", item("z", other)) }?.code == "StreamEnded", "\(other)")
      }
      try store.create("b")
      try store.append("b", item("x", stamp(3, 0)))
      try store.append("b", [], ending: .closed)
      try hold(store.failure { try $0.append("b", item("z", stamp(2, 0))) }?.code == "StaleProducer")
      try hold(try store.readAll("a").texts == ["x", "y"])
    },
    StreamStoreConformance("5.2.1 appends of one producer asked for at once are judged one after the other") { store in
      let name = try StreamName("a")
      var codes: [String] = []
      store.store.create(name, contentType: "t") { _ in }
      for sequence in [0, 1, 1, 3, 2, 3, 2] as [UInt64] {
        store.store.append(name, item("\(sequence)", stamp(0, sequence))) { result in
          switch result {
          case .success(let answer): codes.append(answer.isRepeat ? "repeat" : "\(answer.tail.value)")
          case .failure(let failure): codes.append(failure.code)
          }
        }
      }
      store.pump()
      try hold(codes == ["1", "2", "repeat", "ProducerGap", "3", "4", "repeat"], "\(codes)")
      try hold(try store.readAll("a").texts == ["0", "1", "2", "3"])
    },
    StreamStoreConformance("5.2 Stream-Seq must grow, byte by byte; what is refused does not count") { store in
      try store.create("a")
      try store.append("a", item("0", sequence: "a"))
      try store.append("a", item("1", sequence: "a0"))
      for old in ["a", "a0", "", "Z", "9"] {
        try hold(store.failure { try $0.append("a", item("x", sequence: old)) }?.code == "SequenceRegression", old)
      }
      try store.append("a", item("2"))
      try hold(store.failure { try $0.append("a", item("x", stamp(0, 5), sequence: "z")) }?.code == "ProducerGap")
      try store.append("a", item("3", stamp(0, 0), sequence: "b"))
      try hold(try store.append("a", item("x", stamp(0, 0), sequence: "a")).isRepeat)
      try hold(try store.readAll("a").texts == ["0", "1", "2", "3"])
    },
    StreamStoreConformance("5.2 of several things that are wrong the first is told: end, content type, sequence") {
      store in
      try store.create("a", contentType: "text/plain")
      try store.append("a", item("x", sequence: "5", type: "text/plain; charset=utf-8"))
      let wrong = item("y", sequence: "1", type: "application/json")
      try hold(store.failure { try $0.append("a", wrong) } == .otherContentType(try StreamName("a"), "text/plain"))
      try store.append("a", [], ending: .closed)
      try hold(store.failure { try $0.append("a", wrong) }?.code == "StreamEnded")
    },
  ]

  // MARK: Forks (4.2)

  static let forkChecks = [
    StreamStoreConformance("4.2 a fork has what came before, by the same offsets, and goes its own way") { store in
      try store.create("s", contentType: "text/plain")
      try store.append("s", ["0", "1", "2"])
      for (i, offset) in ([nil, 0, 1, 2, 3] as [UInt64?]).enumerated() {
        let start = offset ?? 3
        let status = try store.fork("f\(i)", of: "s", at: offset)
        try hold(status.tail == Offset(start) && status.contentType == "text/plain" && status.ending == nil)
        try hold(try store.append("f\(i)", ["own"]) == Offset(start + 1))
        for from in 0...start + 1 {
          var texts: [String] = []
          var next = Offset(from)
          while next < Offset(start + 1) {
            let batch = try store.read("f\(i)", from: next, byteLimit: 1)
            texts += batch.texts
            try hold(batch.next == next + batch.items.count && !batch.items.isEmpty)
            next = batch.next
          }
          let all = (0..<start).map { "\($0)" } + ["own"]
          try hold(texts == Array(all.dropFirst(Int(from))), "fork at \(start), from \(from): \(texts)")
        }
      }
      try store.append("s", ["3"], ending: .closed)
      try hold(try store.readAll("f0").texts == ["0", "1", "2", "own"])
      try store.append("f0", ["more"], ending: .aborted(reason: "r"))
      try hold(try store.readAll("f0").ending == .aborted(reason: "r"))
      try hold(try store.readAll("s").texts == ["0", "1", "2", "3"])
      // A stream that ended can be forked, and its fork is open.
      let late = try store.fork("late", of: "s")
      try hold(late.ending == nil && late.tail == Offset(4))
      try hold(try store.readAll("late").items == store.readAll("s").items && store.readAll("late").next == Offset(4))
    },
    StreamStoreConformance("4.2 forks of forks; first items; a long source read in pieces") { store in
      try store.create("s", contentType: "application/json")
      try store.append("s", (0..<100).map { "\($0)" })
      let first = StreamCreation(
        fork: StreamFork(source: try StreamName("s"), offset: Offset(50)), items: [Array("a".utf8)])
      try hold(try store.create("f", first).tail == Offset(51))
      try store.append("f", ["b"])
      try store.fork("g", of: "f", at: 51)
      try store.append("g", ["c"])
      try store.fork("h", of: "g", at: 10)
      try hold(try store.readAll("g", byteLimit: 7).texts == (0..<50).map { "\($0)" } + ["a", "c"])
      try hold(try store.readAll("h", byteLimit: 7).texts == (0..<10).map { "\($0)" })
      try hold(try store.create("f", first).existed)
    },
    StreamStoreConformance("4.2 a sub-offset counts items of JSON and bytes of anything else") { store in
      try store.create("j", contentType: "application/json")
      try store.append("j", ["0", "1", "2"])
      try hold(try store.fork("j2", of: "j", at: 1, sub: 1).tail == Offset(2))
      try hold(try store.readAll("j2").texts == ["0", "1"])
      try hold(store.failure { try $0.fork("j3", of: "j", at: 1, sub: 3) }?.code == "BadFork")
      try hold(try store.fork("j4", of: "j", at: 1, sub: 2).tail == Offset(3))
      try store.create("t", contentType: "text/plain")
      try store.append("t", ["hello", "world"])
      try store.fork("t1", of: "t", at: 1, sub: 2)
      try store.append("t1", ["Z"])
      try hold(try store.readAll("t1").texts == ["hello", "wo", "Z"])
      try store.fork("t2", of: "t1", at: 1, sub: 1)
      try hold(try store.readAll("t2").texts == ["hello", "w"])
      try hold(try store.fork("t3", of: "t", at: 0, sub: 5).tail == Offset(1))
      for (offset, sub) in [(0, 6), (2, 1), (1, 100), (nil, 1)] as [(UInt64?, UInt64)] {
        try hold(store.failure { try $0.fork("no", of: "t", at: offset, sub: sub) }?.code == "BadFork")
      }
      try hold(store.failure { _ = try $0.status("no") }?.code == "StreamNotFound")
      try hold(try store.fork("t1", of: "t", at: 1, sub: 2).existed)
      for (offset, sub) in [(1, 1), (1, 0), (0, 2)] as [(UInt64?, UInt64)] {
        try hold(store.failure { try $0.fork("t1", of: "t", at: offset, sub: sub) }?.code == "StreamConflict")
      }
    },
    StreamStoreConformance("4.2 what cannot be forked is refused, and counts for nothing") { store in
      try hold(store.failure { try $0.fork("f", of: "s") }?.code == "StreamNotFound")
      try hold(store.failure { try $0.fork("f", of: "f") }?.code == "StreamNotFound")
      try store.create("s", contentType: "text/plain")
      try hold(store.failure { try $0.fork("f", of: "s", at: 1) }?.code == "OffsetBeyondTail")
      let other = StreamCreation(contentType: "text/html", fork: StreamFork(source: try StreamName("s")))
      try hold(store.failure { try $0.create("f", other) }?.code == "OtherContentType")
      try store.create("taken")
      try hold(store.failure { try $0.fork("taken", of: "s") }?.code == "StreamConflict")
      // Nothing is left that would keep it.
      try store.delete("s")
      try hold(try !store.create("s").existed)
      // Two that would each be the other's fork.
      let (a, b) = (try StreamName("a"), try StreamName("b"))
      var codes: [String] = []
      store.store.create(a, StreamCreation(fork: StreamFork(source: b))) { codes.append($0.code) }
      store.store.create(b, StreamCreation(fork: StreamFork(source: a))) { codes.append($0.code) }
      store.pump()
      try hold(codes == ["StreamNotFound", "StreamNotFound"])
    },
    StreamStoreConformance("4.2 a chain of forks has an end, and goes from its beginning to it") { store in
      try store.create("0", contentType: "text/plain")
      try store.append("0", ["x"])
      for number in 1...ForkPoint.depthLimit {
        try store.fork("\(number)", of: "\(number - 1)")
        try store.append("\(number)", ["\(number)"])
      }
      try hold(store.failure { try $0.fork("more", of: "\(ForkPoint.depthLimit)") }?.code == "BadFork")
      let all = try store.readAll("\(ForkPoint.depthLimit)")
      try hold(all.texts == ["x"] + (1...ForkPoint.depthLimit).map { "\($0)" })
      for number in 0...ForkPoint.depthLimit { try store.delete("\(number)") }
      store.pump()
      for number in 0...ForkPoint.depthLimit {
        try hold(store.failure { _ = try $0.status("\(number)") }?.code == "StreamNotFound", "\(number)")
      }
    },
    StreamStoreConformance("4.2 a fork inherits no state of writers") { store in
      try store.create("s", contentType: "text/plain")
      try store.append("s", item("x", stamp(4, 0), sequence: "m"))
      try store.fork("f", of: "s")
      try hold(store.failure { try $0.append("f", item("y", stamp(4, 1))) }?.code == "ProducerGap")
      try store.append("f", item("y", stamp(0, 0), sequence: "a"))
      try store.append("s", item("y", stamp(4, 1), sequence: "n"))
    },
    StreamStoreConformance("4.2 a deleted source stays for its forks, and goes with the last of them, up the chain") {
      store in
      try store.create("s", contentType: "text/plain")
      try store.append("s", ["0", "1"])
      try store.fork("f", of: "s", at: 1)
      try store.fork("g", of: "f")
      try store.append("g", ["own"])
      try store.delete("s")
      func isGone(_ name: String) throws {
        try hold(store.failure { _ = try $0.status(name) }?.code == "StreamGone", name)
        try hold(store.failure { _ = try $0.read(name) }?.code == "StreamGone", name)
        try hold(store.failure { try $0.append(name, ["x"]) }?.code == "StreamGone", name)
        try hold(store.failure { try $0.delete(name) }?.code == "StreamGone", name)
        try hold(store.failure { try $0.create(name, contentType: "text/plain") }?.code == "StreamGone", name)
        try hold(store.failure { try $0.fork("z", of: name) }?.code == "StreamGone", name)
      }
      try isGone("s")
      try hold(try store.list().map(\.name.path) == ["f", "g"])
      try store.delete("f")
      try isGone("s")
      try isGone("f")
      try hold(try store.readAll("g").texts == ["0", "own"])
      try store.delete("g")
      store.pump()
      for name in ["s", "f", "g"] {
        try hold(store.failure { _ = try $0.status(name) }?.code == "StreamNotFound", name)
        try hold(try !store.create(name).existed)
        try hold(try store.read(name).items.isEmpty)
      }
    },
    StreamStoreConformance("4.2 a source outlives its forks when nobody deleted it") { store in
      try store.create("s")
      try store.append("s", ["0"])
      for round in 0..<3 {
        try store.fork("f", of: "s")
        try store.fork("g\(round)", of: "s")
        try store.delete("f")
      }
      for round in 0..<3 { try store.delete("g\(round)") }
      try hold(try store.readAll("s").texts == ["0"])
      try store.delete("s")
      try hold(store.failure { _ = try $0.status("s") }?.code == "StreamNotFound")
    },
    StreamStoreConformance("4.2 waiting at a fork's tail, what happens to its source wakes nobody") { store in
      try store.create("s")
      try store.append("s", ["0"])
      try store.fork("f", of: "s")
      var wakes = 0
      let watch = store.store.watch(try StreamName("f")) { wakes += 1 }
      try store.append("s", ["1"], ending: .closed)
      try store.delete("s")
      store.pump()
      try hold(wakes == 0)
      try store.append("f", ["own"])
      store.pump()
      try hold(wakes > 0)
      watch.cancel()
    },
  ]

  // MARK: Lifetimes (4, 5.1)

  /// A store may be late by an eighth.
  static let lifetimeChecks = [
    StreamStoreConformance("4 an idle stream goes after its time; appends and reads renew it, looking does not") {
      store in
      store.isTimed = true
      for name in ["written", "read", "looked", "left"] {
        let status = try store.create(
          name, StreamCreation(contentType: "t", lifetime: .idle(seconds: 100), items: [[1]]))
        try hold(status.lifetime == .idle(seconds: 100) && status.expiresAt != nil)
      }
      for _ in 0..<5 {
        store.pass(milliseconds: 80_000)
        try store.append("written", ["x"])
        _ = try store.read("read")
        _ = try? store.status("looked")
      }
      _ = try store.status("written")
      _ = try store.status("read")
      for name in ["looked", "left"] {
        try hold(store.failure { _ = try $0.status(name) }?.code == "StreamNotFound", name)
      }
      try hold(try store.list().map(\.name.path) == ["read", "written"])
      store.pass(milliseconds: 99_000)
      try hold(try store.status("written").tail == Offset(6))
      store.pass(milliseconds: 15_000)
      for name in ["written", "read"] {
        try hold(store.failure { _ = try $0.read(name) }?.code == "StreamNotFound", name)
        try hold(store.failure { try $0.append(name, ["x"]) }?.code == "StreamNotFound", name)
        try hold(store.failure { try $0.delete(name) }?.code == "StreamNotFound", name)
        try hold(try !store.create(name, StreamCreation(contentType: "other")).existed)
      }
    },
    StreamStoreConformance("4 a moment comes, whatever happens to the stream; watchers are told") { store in
      store.isTimed = true
      let now = try store.create("clock").createdAt
      let creation = StreamCreation(contentType: "t", lifetime: .until(now + 10_000))
      let status = try store.create("a", creation)
      try hold(status.lifetime == creation.lifetime && status.expiresAt == now + 10_000)
      var wakes = 0
      let watch = store.store.watch(status.name) { wakes += 1 }
      store.pass(milliseconds: 9_000)
      try store.append("a", ["x"])
      store.pump()
      wakes = 0
      // Nobody asks for it: it goes by itself.
      store.pass(milliseconds: 2_000)
      try hold(wakes > 0)
      watch.cancel()
      try hold(store.failure { _ = try $0.read("a") }?.code == "StreamNotFound")
      let past = StreamCreation(contentType: "t", lifetime: .until(now))
      try store.create("b", past)
      try hold(store.failure { _ = try $0.status("b") }?.code == "StreamNotFound")
    },
    StreamStoreConformance("4 a stream that somebody watches is in use") { store in
      store.isTimed = true
      try store.create("a", StreamCreation(contentType: "t", lifetime: .idle(seconds: 10)))
      let watch = store.store.watch(try StreamName("a")) {}
      for _ in 0..<10 { store.pass(milliseconds: 10_000) }
      _ = try store.status("a")
      watch.cancel()
      store.pass(milliseconds: 25_000)
      try hold(store.failure { _ = try $0.status("a") }?.code == "StreamNotFound")
      try hold(try store.list().isEmpty)
    },
    StreamStoreConformance("a stream may be given a lifetime later, with its end or when it has ended") { store in
      store.isTimed = true
      let lifetime = StreamLifetime.idle(seconds: 100)
      let now = try store.create("clock").createdAt
      for name in ["open", "ended", "later", "read", "moment", "shorter", "for ever"] {
        try store.create(name, StreamCreation(lifetime: name == "shorter" ? .idle(seconds: 5000) : nil, items: [[1]]))
      }
      store.pass(milliseconds: 60_000)
      try store.append("open", StreamAppend(items: [[2]], lifetime: lifetime))
      try store.append("ended", StreamAppend(items: [[2]], ending: .closed, lifetime: lifetime))
      for name in ["later", "read", "moment", "shorter", "for ever"] {
        try store.append(name, [], ending: .aborted(reason: "why"))
      }
      for name in ["later", "read", "shorter"] {
        let tail = try store.append(name, StreamAppend(items: [], lifetime: lifetime)).tail
        try hold(tail == Offset(1))
      }
      try store.append("moment", StreamAppend(items: [], lifetime: .until(now + 200_000)))
      // An ended stream takes nothing else with it.
      let name = try StreamName("later")
      for append in [
        StreamAppend(items: [[2]], lifetime: lifetime), StreamAppend(items: [], ending: .closed, lifetime: lifetime),
        StreamAppend(items: []),
      ] {
        try hold(
          store.failure { try $0.append("later", append) } == StoreFailure.ended(name, .aborted(reason: "why")))
      }
      for name in ["open", "ended", "later", "read", "shorter"] {
        let status = try store.status(name)
        try hold(status.lifetime == lifetime && (status.expiresAt ?? 0) >= status.createdAt + 160_000, name)
      }
      try hold(try store.status("open").ending == nil && store.status("ended").ending == .closed)
      let moment = try store.status("moment")
      try hold(moment.lifetime == .until(now + 200_000) && moment.expiresAt == now + 200_000)
      store.pass(milliseconds: 90_000)
      try hold(try store.readAll("read").ending == .aborted(reason: "why"))
      store.pass(milliseconds: 60_000)
      try hold(try store.list().map(\.name.path) == ["clock", "for ever", "read"])
      for name in ["open", "ended", "later", "shorter", "moment"] {
        try hold(store.failure { _ = try $0.read(name) }?.code == "StreamNotFound", name)
      }
      store.pass(milliseconds: 120_000)
      try hold(try store.list().map(\.name.path) == ["clock", "for ever"])
    },
    StreamStoreConformance("4.2 a fork's lifetime is its own, or its source's; a source that is over stays for it") {
      store in
      store.isTimed = true
      let now = try store.create("clock").createdAt
      try store.create("idle", StreamCreation(contentType: "t", lifetime: .idle(seconds: 100), items: [[1]]))
      try store.create("until", StreamCreation(contentType: "t", lifetime: .until(now + 50_000), items: [[2]]))
      try store.create("ever", StreamCreation(contentType: "t"))
      for source in ["idle", "until", "ever"] {
        let inherited = try store.fork("of/\(source)", of: source)
        try hold(try inherited.lifetime == store.status(source).lifetime)
        for (i, lifetime) in [StreamLifetime.idle(seconds: 3000), .until(now + 5_000_000)].enumerated() {
          let fork = StreamFork(source: try StreamName(source))
          let own = try store.create("own\(i)/\(source)", StreamCreation(lifetime: lifetime, fork: fork))
          try hold(own.lifetime == lifetime)
        }
      }
      store.pass(milliseconds: 200_000)
      for source in ["idle", "until"] {
        try hold(["StreamGone", "StreamNotFound"].contains(store.failure { _ = try $0.status(source) }?.code), source)
        try hold(
          ["StreamGone", "StreamNotFound"].contains(store.failure { _ = try $0.status("of/\(source)") }?.code), source)
        for i in 0...1 { try hold(try store.readAll("own\(i)/\(source)").items.count == 1) }
      }
    },
  ]
}
