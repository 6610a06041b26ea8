import WeirCore
import WeirStore

/// What providers with `usd_per_day` have cost on a day, kept in the store, so that a process that is started again goes on with
/// what was spent, and processes that share a store know of each other. One stream for each UTC day, over a day after it:
///
///     _weir/budget/2026-11-29    {"provider": "p", "usd": 0.0042, "by": "<who has spent it>"}
///
/// It is read before a call is made, up to its end; what this process spends is written down when it is settled. What cannot be
/// read or written makes calls wait or fail: **no call is free because nobody knows what the day has cost**.
package final class SpendingLog {
  /// A store that has not answered by then counts as one that cannot be read.
  package static let waitLimit = Duration.seconds(30)
  private static let batchBytes = 256 << 10
  private static let dayLength: Int64 = 86_400_000

  private let store: any StreamStore
  private let identifier: () -> String
  private var own: String?
  private var turns = 0
  private var day: Int64 = .min
  /// Of the day, by others than this process: earlier ones, and those beside it.
  private var others: [String: Double] = [:]
  /// Of the day before, until this one is read: rather too much than nothing.
  private var before: [String: Double] = [:]
  private var next = Offset.start
  private var isRead = false
  /// It was read for those that wait now.
  private var isFresh = false
  /// A read is under way: never two, each would add the same.
  private var isReading = false
  private var isWriting = false
  private var waiting: [(RunFailure?) -> Void] = []
  /// By day and provider: what the store has not taken yet.
  private var unwritten: [Int64: [String: Double]] = [:]

  /// `identifier` is asked once, at the first use.
  package init(_ store: any StreamStore, identifier: @escaping () -> String) {
    self.store = store
    self.identifier = identifier
  }

  static func day(of time: Int64) -> Int64 { max(0, time) / dayLength }

  static func name(of day: Int64) throws(StoreFailure) -> StreamName {
    try StreamName("_weir/budget/" + String(Timestamp(milliseconds: day * dayLength).description.prefix(10)))
  }

  /// USD that others have spent on the day, as far as it was read.
  func others(of provider: String) -> Double { (isRead ? others : before)[provider] ?? 0 }

  /// Another day has begun: whatever is under way goes on with what that one has cost.
  func turned(to day: Int64) {
    if self.day != .min, self.day != day { refresh(on: day) { _ in } }
  }

  // MARK: Before a call

  /// Answers when everything that was spent on this day is known, and what this process has spent is written down: inside the
  /// call if it is. A failure: it cannot be known.
  func refresh(on day: Int64, _ answer: @escaping (RunFailure?) -> Void) {
    turn(to: day)
    waiting.append(answer)
    goOn()
  }

  /// What is being written is waited for, what the store did not take before is tried again, and then it is read.
  private func goOn() {
    guard !waiting.isEmpty, !isWriting, !isReading else { return }
    if !unwritten.isEmpty { return write() }
    if isRead, store.isExclusive || isFresh { return answer(nil) }
    isReading = true
    read()
  }

  private func answer(_ failure: RunFailure?) {
    isFresh = false
    let told = waiting
    waiting = []
    for answer in told { answer(failure) }
  }

  private func turn(to day: Int64) {
    guard day != self.day else { return }
    self.day = day
    // When a clock goes back the ledger has forgotten what was its own on that day: it is somebody else's then.
    turns += 1
    if isRead { before = others }
    (others, next, isRead, isFresh) = ([:], .start, false, false)
  }

  private var writer: String {
    let id = own ?? identifier()
    own = id
    return "\(id)-\(turns)"
  }

  private func read() {
    let turn = turns
    let name: StreamName
    do throws(StoreFailure) { name = try Self.name(of: day) } catch { return finish(Self.failure(error)) }
    store.read(name, from: next, byteLimit: Self.batchBytes) { [self] result in
      // The day has turned meanwhile.
      guard turn == turns else { return read() }
      switch result {
      case .failure(.notFound):
        (others, next) = ([:], .start)
        finish(nil)
      case .failure(.beyondTail):
        // It was removed, and made anew.
        (others, next) = ([:], .start)
        read()
      case .failure(let failure): finish(Self.failure(failure))
      case .success(let batch):
        for (index, item) in batch.items.enumerated() {
          guard take(item.bytes) else {
            (others, next) = ([:], .start)
            return finish(Self.unreadable(name, next.value + UInt64(index)))
          }
        }
        next = batch.next
        if batch.items.isEmpty || batch.reachedTail { finish(nil) } else { read() }
      }
    }
  }

  private func take(_ bytes: [UInt8]) -> Bool {
    guard let entry = try? JSONValue.parse(bytes), let provider = entry["provider"]?.string,
      let by = entry["by"]?.string
    else { return false }
    let usd: Double
    switch entry["usd"] {
    case .double(let amount)?: usd = amount
    case .int(let amount)?: usd = Double(amount)
    default: return false
    }
    guard usd.isFinite, usd >= 0 else { return false }
    if by != writer { others[provider, default: 0] += usd }
    return true
  }

  private func finish(_ failure: RunFailure?) {
    isReading = false
    isRead = failure == nil
    isFresh = isRead
    if let failure { answer(failure) } else { goOn() }
  }

  private static func failure(_ failure: StoreFailure) -> RunFailure {
    RunFailure(
      .internal, "what was spent today is kept in the store (usd_per_day), and that fails: \(failure.message)",
      hint: failure.hint ?? "a call whose cost nobody could add up is not made", retryable: true)
  }

  private static func unreadable(_ name: StreamName, _ position: UInt64) -> RunFailure {
    RunFailure(
      .internal, "what was spent today cannot be added up: position \(position) of stream \"\(name)\" is no amount",
      hint: "weir streams cat \(name) shows it; weir streams rm \(name) lets the day begin anew", retryable: false)
  }

  // MARK: After it

  /// This much was spent. What the store does not take is tried again before the next call.
  func add(_ usd: Double, by provider: String, on day: Int64) {
    guard usd > 0, usd.isFinite else { return }
    turn(to: day)
    unwritten[day, default: [:]][provider, default: 0] += usd
    if !isWriting { write() }
  }

  private func write() {
    guard let (day, amounts) = unwritten.min(by: { $0.key < $1.key }) else { return }
    let name: StreamName
    do throws(StoreFailure) { name = try Self.name(of: day) } catch { return answer(Self.failure(error)) }
    isWriting = true
    unwritten[day] = nil
    let entries = amounts.sorted { $0.key < $1.key }.map { provider, usd in
      (["provider": .string(provider), "usd": .double(usd), "by": .string(writer)] as JSONValue).encoded()
    }
    let written = { [self] (failure: StoreFailure?) in
      isWriting = false
      if let failure {
        for (provider, usd) in amounts { unwritten[day, default: [:]][provider, default: 0] += usd }
        // Whoever waits for a call learns why it cannot be made; everybody else is not kept from anything.
        return answer(Self.failure(failure))
      }
      if !unwritten.isEmpty { return write() }
      goOn()
    }
    let creation = StreamCreation(
      contentType: StreamContentType.json, lifetime: .until((day + 2) * Self.dayLength), finds: .sameContentType)
    // Both at once, in this order: a process that ends now waits for all that was asked of its store.
    var refusal: StoreFailure?
    store.create(name, creation) { if case .failure(let failure) = $0 { refusal = failure } }
    store.append(name, entries, ending: nil) { result in
      if case .failure(let failure) = result { written(refusal ?? failure) } else { written(nil) }
    }
  }
}
