import WeirCore

/// An open file of `SimulatedDisk`. Dead after a crash: its operations then never answer.
package final class SimulatedFile: DiskFile {
  private let path: String
  private let inode: SimulatedInode
  private let mode: DiskMode
  private let disk: SimulatedDisk
  private let power: Int
  private var isClosed = false
  private var isUnsynchronizable = false
  private var nextAnswer = Instant(nanoseconds: 0)

  init(path: String, inode: SimulatedInode, mode: DiskMode, disk: SimulatedDisk) {
    self.path = path
    self.inode = inode
    self.mode = mode
    self.disk = disk
    power = disk.currentPower
    disk.openFiles += 1
  }

  package func read(at: Int, count: Int, _ answer: @escaping (Result<[UInt8], DiskFailure>) -> Void) {
    perform("read at \(at)", answer) { () throws(DiskFailure) in
      if disk.failsToRead(path) { throw .other(path, "input/output error (simulated)") }
      let content = inode.content
      guard at >= 0, count >= 0 else { throw .other(path, "invalid place") }
      return at >= content.count ? [] : Array(content[at..<min(content.count, at + count)])
    }
  }

  package func write(_ bytes: [UInt8], at: Int, _ answer: @escaping (DiskFailure?) -> Void) {
    let told: (Result<Void, DiskFailure>) -> Void = { answer($0.failure) }
    perform("write \(bytes.count) at \(at)", told) { () throws(DiskFailure) in
      try writable()
      guard at >= 0 else { throw .other(path, "invalid place") }
      let place = mode == .append ? inode.content.count : at
      let growth = place + bytes.count - inode.content.count
      if let capacity = disk.capacity, growth > 0, growth > capacity - disk.bytesUsed {
        let fits = max(0, bytes.count - (growth - max(0, capacity - disk.bytesUsed)))
        if fits > 0 { inode.apply(.write(Array(bytes.prefix(fits)), at: place)) }
        disk.tell(path, DirectoryChange.content)
        throw .full(path)
      }
      inode.apply(.write(bytes, at: place))
      disk.tell(path, DirectoryChange.content)
    }
  }

  /// Linux marks the pages of a failed attempt clean although they never reached the disk, so a second one that
  /// succeeds would be a lie: as with the real disk, the open file stays failed.
  package func synchronize(_ answer: @escaping (DiskFailure?) -> Void) {
    let told: (Result<Void, DiskFailure>) -> Void = { answer($0.failure) }
    perform("synchronize", isFaulty: false, told) { () throws(DiskFailure) in
      if inode.tellsOfLoss {
        inode.tellsOfLoss = false
        isUnsynchronizable = true
      }
      if !isUnsynchronizable, disk.random.chance(disk.faults.diskError) || disk.failsToSynchronize(path) {
        isUnsynchronizable = true
        inode.forget()
      }
      if !isUnsynchronizable, disk.failsBehindSynchronizing(path) {
        isUnsynchronizable = true
        inode.synchronize()
      }
      if isUnsynchronizable { throw .other(path, "input/output error (simulated)") }
      if mode == .directory {
        guard disk.hasDirectory(path) else { throw .removed(path) }
        disk.keepNames(in: path)
        return
      }
      if inode.isRemoved { throw .removed(path) }
      inode.synchronize()
      disk.synchronizations += 1
    }
  }

  package func truncate(to size: Int, _ answer: @escaping (DiskFailure?) -> Void) {
    let told: (Result<Void, DiskFailure>) -> Void = { answer($0.failure) }
    perform("truncate to \(size)", told) { () throws(DiskFailure) in
      try writable()
      guard size >= 0 else { throw .other(path, "invalid size") }
      inode.apply(.truncate(to: size))
      disk.tell(path, DirectoryChange.content)
    }
  }

  package func size(_ answer: @escaping (Result<Int, DiskFailure>) -> Void) {
    perform("size", answer) { () throws(DiskFailure) in inode.content.count }
  }

  package func close() {
    if isClosed { return }
    isClosed = true
    disk.openFiles -= 1
    if mode == .lock { disk.unlock(path, power: power) }
  }

  deinit { close() }

  private func writable() throws(DiskFailure) {
    if [.read, .unlocked, .directory].contains(mode) || disk.isReadOnly { throw .denied(path) }
  }

  private func perform<T>(
    _ what: String, isFaulty: Bool = true, _ answer: @escaping (Result<T, DiskFailure>) -> Void,
    _ work: () throws(DiskFailure) -> T
  ) {
    guard power == disk.currentPower else { return }
    var result: Result<T, DiskFailure>
    if isClosed {
      result = .failure(.other(path, "the file is closed"))
    } else if isFaulty, disk.random.chance(disk.faults.diskError) {
      result = .failure(.other(path, "input/output error (simulated)"))
    } else {
      do throws(DiskFailure) { result = .success(try work()) } catch { result = .failure(error) }
    }
    disk.trace.note("\(what) of \(path) \(result.failure?.code ?? "ok")")
    disk.deliver(after: &nextAnswer, result, answer)
  }
}

/// A file's bytes: what is durable, and what has been done to them since.
final class SimulatedInode {
  enum Change {
    case write([UInt8], at: Int)
    case truncate(to: Int)
  }

  /// As programs read it now.
  private(set) var content: [UInt8] = []
  private var durable: [UInt8] = []
  private var pending: [Change] = []
  /// No name leads to it any more.
  var isRemoved = false
  /// The next synchronisation fails.
  var tellsOfLoss = false

  func apply(_ change: Change) {
    Self.apply(change, to: &content)
    pending.append(change)
  }

  func replace(_ bytes: [UInt8]) {
    content = bytes
    durable = bytes
    pending = []
  }

  func synchronize() {
    for change in pending { Self.apply(change, to: &durable) }
    pending = []
  }

  /// What a failed synchronisation does: visible until the next crash, durable never.
  func forget() { pending = [] }

  /// What could not be written is gone, and whoever synchronises the file next is told, or nobody.
  func losePages(tells: Bool, isLong: Bool) {
    var kept = durable
    if isLong { Self.apply(.truncate(to: max(content.count, durable.count)), to: &kept) }
    (content, durable, pending, tellsOfLoss) = (kept, kept, [], tells)
  }

  /// Each change that was not synchronised is there, gone or torn, whatever became of those before it.
  func crash(random: SeededRandom, faults: SimulatedFaults) {
    for change in pending where !random.chance(faults.lostWrite) {
      if random.chance(faults.tornWrite), case .write(let bytes, let at) = change, !bytes.isEmpty {
        let start = random.chance(0.5) ? 0 : random.int(0...bytes.count)
        let end = random.int(start...bytes.count)
        // The size may be there before the bytes are: the rest then reads as zeros.
        if random.chance(0.5) { Self.apply(.write([], at: at + bytes.count), to: &durable) }
        Self.apply(.write(Array(bytes[start..<end]), at: at + start), to: &durable)
      } else {
        Self.apply(change, to: &durable)
      }
    }
    pending = []
    content = durable
    tellsOfLoss = false
  }

  /// A write of nothing beyond the end makes the file that long, with zeros.
  private static func apply(_ change: Change, to bytes: inout [UInt8]) {
    switch change {
    case .write(let new, let at):
      if at > bytes.count { bytes.append(contentsOf: repeatElement(0, count: at - bytes.count)) }
      let overlap = min(bytes.count - at, new.count)
      bytes.replaceSubrange(at..<(at + overlap), with: new)
    case .truncate(let size):
      if size < bytes.count {
        bytes.removeLast(bytes.count - size)
      } else {
        bytes.append(contentsOf: repeatElement(0, count: size - bytes.count))
      }
    }
  }
}
