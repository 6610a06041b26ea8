import WeirCore

/// What a `CompactedLog` remembers, and the records that say it.
package protocol CompactedLogOwner: AnyObject {
  /// A whole summary follows. What it leaves out is forgotten, unless it is this process's own and still to be written.
  func summaryBegins()
  /// Applies one record. **Doing it twice is doing it once**: what this process wrote may be read back. False: it says nothing
  /// that is understood.
  func apply(_ record: JSONValue) -> Bool
  func summaryEnds()
  /// All that is remembered, as records.
  var summary: [[UInt8]] { get }
}

/// A log of JSON records that does not grow without end, written by any number of processes: streams `<root>/<n>`, of which each
/// begins with a summary of those before it.
///
///     {"summary": 2}     so many of the records behind it are the summary
///     {…} {…}            what was known when this generation was made
///     {…} …              what came since, whoever wrote it
///
/// A generation that is full is **closed**, and everybody's appends to it are refused from then on. Then it is read to its end,
/// and the next one is made with the summary in one step; whoever finds it made goes on there. Nobody has to be the one who does
/// it: a process that dies on the way leaves a closed generation, and the next one that needs the log makes its successor. Only
/// when that is there does the old one go.
///
/// Invariant: what was acknowledged is in its generation, or in the summary of the next.
///
/// A process that stood still may make a generation that was made and is gone already. So, where others write as well, old ones
/// stay for a while, and whoever has made one looks for a newer one before using it.
///
/// Records that can't be read are told once, and carried on as they are.
package final class CompactedLog {
  package typealias Told = (StoreFailure?) -> Void

  /// When a generation is full: records behind its summary, or their bytes, if the summary has not as many.
  package struct Limits: Sendable {
    package var records: Int
    package var bytes: Int
    package init(records: Int, bytes: Int) {
      self.records = records
      self.bytes = bytes
    }
  }

  package static let contentType = StreamContentType.json
  private static let batchBytes = 256 << 10
  private static let pageLimit = 100
  /// How long an old generation keeps its name taken, longer than any process takes from reading one to making the next.
  private static let outdatedLifetime = StreamLifetime.idle(seconds: 60)
  /// Times that the newest generation is looked for at one time: each time somebody else has made another.
  private static let lookLimit = 100

  private struct Extent {
    var summaryBytes = 0
    var records = 0
    var bytes = 0
  }

  package weak var owner: (any CompactedLogOwner)?
  private let root: String
  private let store: any StreamStore
  private let limits: Limits
  private let complain: (String) -> Void

  /// 0: none was found yet.
  private var generation: UInt64 = 0
  /// What is before it has been read, or was written here.
  private var next = Offset.start
  /// Records of its summary that were not read yet.
  private var summaryLeft = 0
  private var isSummaryRead = false
  private var extent = Extent()
  /// Records of it that say nothing that is understood.
  private var unread: [[UInt8]] = []
  /// As far as is known its generation takes appends.
  private var isOpen = false

  private var isBusy = false
  private var looks = 0
  private var told: [Told] = []
  /// Asked while somebody was answered already: what they ask for may have come since.
  private var later: [Told] = []
  private var waiting: [(records: [[UInt8]], told: Told)] = []

  /// `root`: of the streams' names, without the `/` at its end. `complain`: told of what cannot be read.
  package init(_ root: String, _ limits: Limits, in store: any StreamStore, complain: @escaping (String) -> Void) {
    self.root = root
    self.limits = limits
    self.store = store
    self.complain = complain
  }

  package static func name(_ root: String, _ generation: UInt64) throws(StoreFailure) -> StreamName {
    try StreamName("\(root)/\(Offset(generation))")
  }

  /// Answers when everything is known that anybody was told is kept, or why it cannot be.
  package func catchUp(_ told: @escaping Told) {
    later.append(told)
    goOn()
  }

  /// Answers when the store has these records, in whatever generation.
  package func append(_ records: [[UInt8]], _ told: @escaping Told) {
    guard isOpen else {
      waiting.append((records, told))
      return goOn()
    }
    let place = generation
    named(place, failing: told) { name in
      store.append(name, records, ending: nil) { [self] result in
        switch result {
        case .success(let tail):
          if place == generation { wrote(records, to: tail) }
          told(nil)
          closeIfFull()
        // Closed by somebody, who may have made the next one, or let go by a store in memory that was full.
        case .failure(.ended), .failure(.notFound), .failure(.gone):
          if place == generation { isOpen = false }
          append(records, told)
        case .failure(let failure): told(failure)
        }
      }
    }
  }

  private func wrote(_ records: [[UInt8]], to tail: Offset) {
    extent.records += records.count
    extent.bytes += records.reduce(0) { $0 + $1.count }
    // Otherwise others have written before it, which is read in its turn, and these with it.
    if next + records.count == tail { next = tail }
  }

  private func named(_ generation: UInt64, failing: Told, _ then: (StreamName) -> Void) {
    do throws(StoreFailure) { then(try Self.name(root, generation)) } catch { failing(error) }
  }

  // MARK: Reading

  private func goOn() {
    guard !isBusy, !later.isEmpty || !(isOpen || waiting.isEmpty) else { return }
    isBusy = true
    looks = 0
    (told, later) = (later, [])
    if isOpen { read() } else { look() }
  }

  private func finish(_ failure: StoreFailure?) {
    isBusy = false
    let (answered, waited) = (told, waiting)
    (told, waiting) = ([], [])
    for told in answered { told(failure) }
    for (records, told) in waited {
      if let failure { told(failure) } else { append(records, told) }
    }
    closeIfFull()
    goOn()
  }

  /// For the newest generation. Where there is none, and something is to be written, it is made.
  private func look() {
    looks += 1
    guard looks <= Self.lookLimit else { return finish(.unavailable("\(root) changes faster than it can be read")) }
    var found: [(generation: UInt64, status: StreamStatus)] = []
    func list(after: StreamName?) {
      store.list(prefix: root + "/", after: after, limit: Self.pageLimit) { [self] result in
        switch result {
        case .failure(let failure): finish(failure)
        case .success(let page):
          for status in page {
            if let place = Offset(status.name.path.dropFirst(root.utf8.count + 1)) {
              found.append((place.value, status))
            }
          }
          if page.count == Self.pageLimit, let last = page.last?.name { return list(after: last) }
          guard let newest = found.map(\.generation).max() else {
            return waiting.isEmpty ? finish(nil) : make(generation + 1)
          }
          if newest != generation { turn(to: newest) }
          read(outdated: found.filter { $0.generation < newest }.map(\.status))
        }
      }
    }
    list(after: nil)
  }

  private func turn(to generation: UInt64) {
    self.generation = generation
    (next, summaryLeft, isSummaryRead, extent, isOpen) = (.start, 0, false, Extent(), false)
  }

  /// `outdated`: generations that may go when it is certain that this one is used.
  private func read(outdated: [StreamStatus] = []) {
    let from = next
    named(generation, failing: finish) { name in
      store.read(name, from: from, byteLimit: Self.batchBytes) { [self] result in
        switch result {
        case .success(let batch):
          for (index, item) in batch.items.enumerated() { take(item.bytes, at: from + index) }
          next = max(next, batch.next)
          if batch.ending != nil {
            isOpen = false
            make(generation + 1)
          } else if batch.items.isEmpty || batch.reachedTail {
            isOpen = true
            for old in outdated { letGo(old) }
            finish(nil)
          } else {
            read(outdated: outdated)
          }
        case .failure(.notFound), .failure(.gone):
          isOpen = false
          look()
        // Another of the same name: the store has lost the end of the one that was read.
        case .failure(.beyondTail):
          turn(to: generation)
          look()
        case .failure(let failure): finish(failure)
        }
      }
    }
  }

  private func letGo(_ old: StreamStatus) {
    if store.isExclusive { return store.delete(old.name) { _ in } }
    if old.lifetime == nil {
      store.append(old.name, StreamAppend(items: [], lifetime: Self.outdatedLifetime)) { _ in }
    }
  }

  private func take(_ bytes: [UInt8], at place: Offset) {
    let record = try? JSONValue.parse(own: bytes)
    if place == .start {
      unread = []
      owner?.summaryBegins()
      summaryLeft = record?["summary"]?.int ?? 0
    } else if summaryLeft > 0 {
      summaryLeft -= 1
      extent.summaryBytes += bytes.count
    } else {
      extent.records += 1
      extent.bytes += bytes.count
    }
    let isHead = place == .start && record?["summary"] != nil
    if !isHead, record.map({ owner?.apply($0) ?? true }) != true { keepUnread(bytes, place) }
    if summaryLeft == 0, !isSummaryRead {
      isSummaryRead = true
      owner?.summaryEnds()
    }
  }

  private func keepUnread(_ bytes: [UInt8], _ place: Offset) {
    if unread.isEmpty {
      complain(
        "\(root)/\(Offset(generation)) has a record at position \(place.value) that cannot be read: what it says is not known"
      )
    }
    unread.append(bytes)
  }

  // MARK: The next generation

  private func closeIfFull() {
    let isFull = extent.records > limits.records || extent.bytes > max(limits.bytes, extent.summaryBytes)
    guard isOpen, !isBusy, isFull else { return }
    (isBusy, isOpen, looks) = (true, false, 0)
    named(generation, failing: finish) { name in
      store.append(name, [], ending: .closed) { [self] result in
        switch result {
        case .success, .failure(.ended): read()
        case .failure(.notFound), .failure(.gone): look()
        case .failure:
          // It is tried again when as much was written once more.
          (extent.records, extent.bytes, isOpen) = (0, 0, true)
          finish(nil)
        }
      }
    }
  }

  private func make(_ generation: UInt64) {
    guard let owner else { return finish(.unavailable("nobody remembers what \(root) says")) }
    let records = owner.summary + unread
    let head: JSONValue = ["summary": .int(records.count)]
    let creation = StreamCreation(contentType: Self.contentType, items: [head.encoded()] + records)
    named(generation, failing: finish) { name in
      store.create(name, creation) { [self] result in
        switch result {
        case .success(let status) where status.existed: look()
        case .failure(.conflict): look()
        case .failure(let failure): finish(failure)
        case .success(let status):
          turn(to: generation)
          (next, isSummaryRead) = (status.tail, true)
          extent.summaryBytes = records.reduce(0) { $0 + $1.count }
          look()
        }
      }
    }
  }
}
