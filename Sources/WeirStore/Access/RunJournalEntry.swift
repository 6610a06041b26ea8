import WeirCore

extension RunJournal {
  /// A step that is done.
  package struct Step: Equatable, Sendable {
    package var value: JSONValue
    /// Places of the items that it wrote, by namespace.
    package var writes: DurableFrame.Places
    package init(value: JSONValue, writes: DurableFrame.Places) {
      self.value = value
      self.writes = writes
    }
  }

  /// How far `streamForEach` is.
  package struct Progress: Equatable, Sendable {
    /// Places of the items that are done.
    package var done = RangeSet<UInt64>()
    /// Results, by the item's place.
    package var values: [UInt64: JSONValue] = [:]
    /// Places of what its items have written, by namespace.
    package var writes: DurableFrame.Places = [:]
    /// Items that are done.
    package var count: Int { done.ranges.reduce(0) { $0 + Int(clamping: $1.upperBound - $1.lowerBound) } }
    package init() {}
  }

  /// One fact of a run's journal, as it is written down.
  ///
  ///     {"begun": {…}}                                                first: whatever takes the run up again
  ///     {"life": 2}                                                   another process has taken it up
  ///     {"step": PATH, "value": …, "writes": {"tokens": [[0, 3]]}}     a step is done; places of the items that it has written
  ///     {"failed": PATH, "writes": …}                                 a try has failed; its items stay, and nobody repeats them
  ///     {"each": PATH, "done": [[0, 10], [11, 12]], "values": [[11, …], …], "writes": …}
  ///                                                                   items done since the last time, and what they and those
  ///                                                                   that failed have written; results, where they are kept
  ///     {"by": PATH, "in": "tokens", "from": 17}                      who writes from that place on, until it says otherwise
  ///     {"spent": 0.02, "provider": "openai"}                         USD that a model call has cost, for limits of the whole run
  ///     {"stopped": true}                                             somebody has stopped it: nobody takes it up
  ///     {"ending": true}                                              its streams are being ended
  ///
  /// Paths are those of `DurableFrame`; that of the run itself is "". Ranges are without their ends. Ranges, so that the journal of
  /// an operation grows with its checkpoints and with the gaps that failed items leave, not with its items.
  enum Entry: Equatable {
    case begun(JSONValue)
    case life(UInt64)
    case step(String, Step)
    case failed(String, writes: DurableFrame.Places)
    case each(String, done: RangeSet<UInt64>, values: [(UInt64, JSONValue)], writes: DurableFrame.Places)
    case by(String, namespace: String, from: UInt64)
    case spent(Double, provider: String)
    case stopped
    case ending

    static func == (one: Entry, other: Entry) -> Bool { one.json == other.json }

    var json: JSONValue {
      switch self {
      case .begun(let begun): ["begun": begun]
      case .life(let number): ["life": .int(Int(clamping: number))]
      case .step(let path, let step): ["step": .string(path), "value": step.value, "writes": Self.json(step.writes)]
      case .failed(let path, let writes): ["failed": .string(path), "writes": Self.json(writes)]
      case .each(let path, let done, let values, let writes):
        .object(
          [JSONMember("each", .string(path)), JSONMember("done", Self.json(done))]
            + (values.isEmpty
              ? [] : [JSONMember("values", .array(values.map { .array([.int(Int(clamping: $0.0)), $0.1]) }))])
            + (writes.isEmpty ? [] : [JSONMember("writes", Self.json(writes))]))
      case .by(let path, let namespace, let from):
        ["by": .string(path), "in": .string(namespace), "from": .int(Int(clamping: from))]
      case .spent(let usd, let provider): ["spent": .double(usd), "provider": .string(provider)]
      case .stopped: ["stopped": true]
      case .ending: ["ending": true]
      }
    }

    /// Nil: it is none.
    init?(_ bytes: [UInt8]) {
      guard let json = try? JSONValue.parse(own: bytes) else { return nil }
      if let begun = json["begun"] {
        self = .begun(begun)
      } else if let path = json["step"]?.string, let value = json["value"], let writes = Self.places(json["writes"]) {
        self = .step(path, Step(value: value, writes: writes))
      } else if let path = json["failed"]?.string, let writes = Self.places(json["writes"]) {
        self = .failed(path, writes: writes)
      } else if let path = json["each"]?.string, let ranges = json["done"], var done = Self.ranges(ranges),
        let writes = Self.places(json["writes"])
      {
        var values: [(UInt64, JSONValue)] = []
        for pair in json["values"]?.array ?? [] {
          guard let items = pair.array, items.count == 2, let place = items[0].int, (0..<Int.max).contains(place) else {
            return nil
          }
          values.append((UInt64(place), items[1]))
          done.insert(contentsOf: UInt64(place)..<UInt64(place) + 1)
        }
        self = .each(path, done: done, values: values, writes: writes)
      } else if let path = json["by"]?.string, let namespace = json["in"]?.string, let from = json["from"]?.int,
        from >= 0
      {
        self = .by(path, namespace: namespace, from: UInt64(from))
      } else if let number = json["life"]?.int, number >= 0 {
        self = .life(UInt64(number))
      } else if let usd = Self.amount(json["spent"]), let provider = json["provider"]?.string {
        self = .spent(usd, provider: provider)
      } else if json["stopped"] == true {
        self = .stopped
      } else if json["ending"] == true {
        self = .ending
      } else {
        return nil
      }
    }

    private static func amount(_ json: JSONValue?) -> Double? {
      let amount: Double
      switch json {
      case .double(let number): amount = number
      case .int(let number): amount = Double(number)
      default: return nil
      }
      return amount.isFinite && amount >= 0 ? amount : nil
    }

    private static func json(_ ranges: RangeSet<UInt64>) -> JSONValue {
      .array(
        ranges.ranges.map { .array([.int(Int(clamping: $0.lowerBound)), .int(Int(clamping: $0.upperBound))]) })
    }

    private static func json(_ places: DurableFrame.Places) -> JSONValue {
      .object(places.sorted { $0.key < $1.key }.map { JSONMember($0.key, json($0.value)) })
    }

    private static func ranges(_ json: JSONValue) -> RangeSet<UInt64>? {
      guard let array = json.array else { return nil }
      var ranges = RangeSet<UInt64>()
      for range in array {
        guard let places = range.array, places.count == 2, let first = places[0].int, let end = places[1].int,
          first >= 0, first < end
        else { return nil }
        ranges.insert(contentsOf: UInt64(first)..<UInt64(end))
      }
      return ranges
    }

    /// Without any there are none.
    private static func places(_ json: JSONValue?) -> DurableFrame.Places? {
      guard let json else { return [:] }
      guard let members = json.members else { return nil }
      var places: DurableFrame.Places = [:]
      for member in members {
        guard let ranges = ranges(member.value) else { return nil }
        places[member.name] = ranges
      }
      return places
    }
  }
}
