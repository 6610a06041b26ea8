import WeirCore
import WeirStore
import WeirWire

/// What a script answered: a word that says how it went, and what belongs to it (`RedisScript`).
struct RedisReply {
  private let words: [String]
  private let name: StreamName
  private let address: RedisAddress

  /// Of a script that changes something: one string, each word in it behind its length and a colon, as Redis kept it in the session.
  init(packed value: RESPValue, _ name: StreamName, _ address: RedisAddress) throws(StoreFailure) {
    self.name = name
    self.address = address
    guard var rest = value.bytes?[...] else { throw Self.odd(address) }
    var words: [String] = []
    while let colon = rest.firstIndex(of: UInt8(ascii: ":")) {
      guard let count = Int(String(decoding: rest[..<colon], as: UTF8.self)), count >= 0,
        count <= rest.endIndex - colon - 1
      else { throw Self.odd(address) }
      let end = colon + 1 + count
      words.append(String(decoding: rest[(colon + 1)..<end], as: UTF8.self))
      rest = rest[end...]
    }
    guard rest.isEmpty, !words.isEmpty else { throw Self.odd(address) }
    self.words = words
  }

  /// Of one that looks: a list of strings.
  init(list value: RESPValue, _ name: StreamName, _ address: RedisAddress) throws(StoreFailure) {
    guard let elements = value.elements, !elements.isEmpty else { throw Self.odd(address) }
    words = elements.map { $0.text ?? "" }
    self.name = name
    self.address = address
  }

  static func odd(_ address: RedisAddress) -> StoreFailure {
    .unavailable("\(address): it answers what the store's scripts do not: is it a Redis 5 or newer?")
  }

  /// Scripts count in doubles: what is more than those hold is no number of theirs, and no sum of two others overflows.
  static func count(_ digits: String) -> UInt64? {
    UInt64(digits).flatMap { $0 <= RedisStreamStore.countLimit ? $0 : nil }
  }

  /// As `StreamLifetime` allows them.
  static func idleSeconds(_ digits: some StringProtocol) -> Int64? {
    Int64(digits).flatMap { (1...StreamLifetime.secondsLimit).contains($0) ? $0 : nil }
  }

  var outcome: String { words[0] }

  /// "" beyond the end.
  subscript(_ index: Int) -> String { index < words.count ? words[index] : "" }

  func offset(_ index: Int) throws(StoreFailure) -> Offset {
    guard let value = Self.count(self[index]) else { throw Self.odd(address) }
    return Offset(value)
  }

  func status(from start: Int) throws(StoreFailure) -> StreamStatus {
    guard let created = Int64(self[start + 5]) else { throw Self.odd(address) }
    var status = StreamStatus(
      name: try StreamName(self[start]), contentType: self[start + 1], tail: try offset(start + 2),
      ending: StreamEnding(self[start + 3], self[start + 4]), createdAt: created)
    if let seconds = Self.idleSeconds(self[start + 6]) { status.lifetime = .idle(seconds: seconds) }
    if let moment = Int64(self[start + 7]) { status.lifetime = .until(moment) }
    status.expiresAt = Int64(self[start + 8])
    if !self[start + 9].isEmpty {
      status.fork = StreamFork(
        source: try StreamName(self[start + 9]), offset: try offset(start + 10),
        subOffset: UInt64(self[start + 11]) ?? 0)
    }
    return status
  }

  // MARK: Failures

  /// What was asked for tells what the answer leaves out.
  func failure(_ creation: StreamCreation) -> StoreFailure {
    let (at, sub) = (self[2], self[3])
    let offset = UInt64(at).map { "\(Offset($0))" } ?? at
    do throws(StoreFailure) {
      switch outcome {
      case "fewItems": return .badFork(try StreamName(self[1]), "fewer than \(sub) items follow offset \(offset)")
      case "tooDeep":
        return .badFork(try StreamName(self[1]), "it is the fork of a fork, \(self[2]) times (depthLimit)")
      case "fewBytes":
        return .badFork(try StreamName(self[1]), "\(self[4]) bytes follow offset \(offset), not \(sub)")
      default: return failure()
      }
    } catch { return error }
  }

  func failure(_ append: StreamAppend) -> StoreFailure {
    guard let stamp = append.producer else { return failure() }
    switch outcome {
    case "stale": return .staleProducer(name, stamp, epoch: UInt64(self[2]) ?? 0)
    case "gap": return .producerGap(name, stamp, expected: UInt64(self[2]) ?? 0)
    case "first": return .badFirstSequence(name, stamp)
    default: return failure()
    }
  }

  func failure() -> StoreFailure {
    do throws(StoreFailure) {
      switch outcome {
      case "notFound": return .notFound(try StreamName(self[1]))
      case "gone": return .gone(try StreamName(self[1]))
      case "beyond": return .beyondTail(try StreamName(self[1]), tail: try offset(2))
      case "otherType": return .otherContentType(try StreamName(self[1]), self[2])
      case "ended": return .ended(name, StreamEnding(self[2], self[3]) ?? .closed)
      case "regression": return .sequenceRegression(name, last: self[2])
      case "producers":
        return .full("stream \"\(name)\" has \(StreamWriters.producersLimit) producers, its limit (producersLimit)")
      case "hole":
        return .unavailable(
          "\(address): stream \"\(name)\" has lost its item \(self[2]); a Redis for streams must not evict (maxmemory-policy noeviction)"
        )
      default: return Self.odd(address)
      }
    } catch { return error }
  }

  // MARK: Longer answers

  /// Tail, ending, reason and when it was made, then time and bytes of each item.
  static func batch(_ value: RESPValue, from offset: Offset, _ address: RedisAddress) throws(StoreFailure)
    -> StreamBatch
  {
    guard let parts = value.elements, parts.count >= 2 else { throw odd(address) }
    guard parts[0].text == "ok" else {
      throw try RedisReply(list: value, try StreamName(parts[1].text ?? ""), address).failure()
    }
    guard parts.count >= 5, parts.count % 2 == 1, let tail = parts[1].text.flatMap(count),
      let createdAt = parts[4].text.flatMap({ Int64($0) }), offset.value <= tail,
      parts.count / 2 - 2 <= tail - offset.value
    else {
      throw odd(address)
    }
    var items: [StreamItem] = []
    items.reserveCapacity(parts.count / 2 - 2)
    for index in stride(from: 5, to: parts.count, by: 2) {
      guard case .bulk(let digits) = parts[index], case .bulk(let bytes) = parts[index + 1] else { throw odd(address) }
      items.append(StreamItem(bytes: bytes, time: number(digits)))
    }
    let next = offset + items.count
    let isAtTail = next.value == tail
    // An empty batch would be read again and again.
    guard isAtTail || !items.isEmpty else { throw odd(address) }
    return StreamBatch(
      items: items, next: next, ending: isAtTail ? StreamEnding(parts[2].text ?? "", parts[3].text ?? "") : nil,
      createdAt: createdAt, reachedTail: isAtTail && !items.isEmpty)
  }

  /// Of digits alone.
  private static func number(_ digits: [UInt8]) -> Int64 {
    var value: Int64 = 0
    for digit in digits.prefix(18) { value = value &* 10 &+ Int64(digit &- 0x30) }
    return value
  }

  /// How many names were looked at, the last of them, and their streams.
  static func page(
    _ value: RESPValue, _ address: RedisAddress
  ) throws(StoreFailure) -> (looked: Int, last: String, statuses: [StreamStatus]) {
    guard let parts = value.elements, parts.count >= 2, let looked = parts[0].text.flatMap({ Int($0) }),
      let last = parts[1].text
    else { throw odd(address) }
    var statuses: [StreamStatus] = []
    for part in parts.dropFirst(2) {
      guard let name = part.elements?.first?.text else { throw odd(address) }
      statuses.append(try RedisReply(list: part, try StreamName(name), address).status(from: 0))
    }
    return (looked, last, statuses)
  }
}

extension StreamEnding {
  /// As the scripts have it: "" none, c closed, a aborted.
  init?(_ word: String, _ reason: String) {
    switch word {
    case "c": self = .closed
    case "a": self = .aborted(reason: reason)
    default: return nil
    }
  }
}
