import CWeir
import Glibc
import Synchronization
import WeirCore

/// A descriptor of a regular file and the calls on it that block. Closed when the last holder lets go.
final class OpenFile: Sendable {
  let path: String
  let descriptor: Int32
  private let isLock: Bool
  private let isDirectory: Bool
  private let failedToSynchronize = Atomic<Bool>(false)

  init(_ path: String, _ mode: DiskMode) throws(DiskFailure) {
    let flags =
      switch mode {
      case .read: O_RDONLY
      case .readWrite: O_RDWR
      case .create, .newSecret: O_RDWR | O_CREAT | O_EXCL
      case .append: O_RDWR | O_CREAT | O_APPEND
      // Emptied once it is known to be a file, and nobody else's to read.
      case .secret: O_RDWR | O_CREAT
      case .lock: O_RDWR | O_CREAT
      case .unlocked: O_RDONLY
      case .directory: O_RDONLY | O_DIRECTORY
      }
    // Without O_NONBLOCK the open of a FIFO would hold a thread until somebody writes to it.
    let fd = Glibc.open(path, flags | O_CLOEXEC | O_NONBLOCK, mode == .secret || mode == .newSecret ? 0o600 : 0o666)
    if fd < 0 { throw DiskFailure.of(errno, path) }
    self.path = path
    descriptor = fd
    isLock = mode == .lock
    isDirectory = mode == .directory
    var info = stat()
    try check(fstat(fd, &info), path)
    switch info.st_mode & S_IFMT {
    case S_IFDIR where isDirectory: return
    case S_IFREG: break
    case S_IFDIR: throw .other(path, "is a directory")
    default: throw .other(path, "is not a regular file")
    }
    if mode == .secret {
      try check(fchmod(fd, 0o600), path)
      try check(ftruncate(fd, 0), path)
    }
    switch mode {
    case .lock: try lock()
    case .unlocked:
      guard flock(fd, LOCK_SH | LOCK_NB) == 0 else { throw errno == EWOULDBLOCK ? held() : DiskFailure.of(errno, path) }
      flock(fd, LOCK_UN)
    default: break
    }
  }

  /// Whoever has it writes down its number, so that those who can't have it can say whose it is.
  private func lock() throws(DiskFailure) {
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw errno == EWOULDBLOCK ? held() : DiskFailure.of(errno, path)
    }
    // The lock counts, not this: a full disk is no reason to do without.
    if ftruncate(descriptor, 0) == 0 { try? write(Array("\(getpid())\n".utf8), at: 0) }
  }

  private func held() -> DiskFailure {
    let holder = (try? read(at: 0, count: 20, trustsSize: true)) ?? []
    return .locked(path, by: Int(String(decoding: holder.prefix { $0 != 0x0A }, as: UTF8.self)))
  }

  /// Whoever else still has this file, a thread that has just answered with it, keeps the descriptor and not the lock.
  func unlock() { if isLock { flock(descriptor, LOCK_UN) } }

  deinit { closeDescriptor(descriptor) }

  /// Whether its name leads to it.
  var isInPlace: Bool { weir_is_in_place(descriptor, path) != 0 }

  func size() throws(DiskFailure) -> Int {
    var info = stat()
    try check(fstat(descriptor, &info), path)
    return Int(info.st_size)
  }

  /// At most `count` bytes; fewer at the end. With `trustsSize` no more is allocated than the file has.
  func read(at: Int, count: Int, trustsSize: Bool) throws(DiskFailure) -> [UInt8] {
    guard at >= 0, count >= 0 else { throw .other(path, "there is no place \(at), \(count)") }
    let rest = max(0, try size() - at)
    var bytes: [UInt8] = []
    // A size of 0 may be a lie (/proc): then by pieces, until there is no more.
    let piece = trustsSize ? min(count, rest) : min(count, max(rest, 65_536))
    while bytes.count < count {
      let wanted = trustsSize ? piece - bytes.count : min(piece, count - bytes.count)
      if wanted == 0 { break }
      let place = at + bytes.count
      var number: Int32 = 0
      let more = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, used in
        let got = pread(descriptor, buffer.baseAddress, wanted, place)
        if got < 0 { number = errno }
        used = max(0, got)
      }
      if number == EINTR { continue }
      if number != 0 { throw DiskFailure.of(number, path) }
      if more.isEmpty { break }
      if bytes.isEmpty { bytes = more } else { bytes += more }
    }
    return bytes
  }

  func write(_ bytes: [UInt8], at: Int) throws(DiskFailure) {
    guard at >= 0 else { throw .other(path, "there is no place \(at)") }
    var offset = 0
    while offset < bytes.count {
      let taken = bytes.withUnsafeBytes {
        pwrite(descriptor, $0.baseAddress! + offset, bytes.count - offset, at + offset)
      }
      if taken >= 0 { offset += taken } else if errno != EINTR { throw DiskFailure.of(errno, path) }
    }
  }

  /// After a failed fsync Linux marks the pages clean though they never arrived: a second try that succeeds would be
  /// a lie, so the file stays failed.
  func synchronize() throws(DiskFailure) {
    if failedToSynchronize.load(ordering: .relaxed) {
      throw .other(path, "an earlier write did not reach the disk")
    }
    if weir_is_removed(descriptor) != 0 { throw .removed(path) }
    #if os(Linux)
      let outcome = isDirectory ? fsync(descriptor) : fdatasync(descriptor)
    #else
      let outcome = fcntl(descriptor, F_FULLFSYNC)
    #endif
    if outcome != 0 {
      let number = errno
      failedToSynchronize.store(true, ordering: .relaxed)
      throw DiskFailure.of(number, path)
    }
  }
}

/// Jobs of one file, one after the other on whatever thread of the pool is free.
final class DiskLane: Sendable {
  /// Operations waiting for one file at most: beyond that the disk does not keep up, and the asker must know.
  static let queueLimit = 65_536

  /// A job that must be done waits so long for room in the pool.
  private static let patience = Duration.milliseconds(1)

  private struct Queue {
    var jobs = Ring<@Sendable () -> Void>()
    var isRunning = false
  }

  private let pool: ThreadPool
  private let queue = Locked(Queue())

  init(_ pool: ThreadPool) { self.pool = pool }

  /// `insists`: it is done however much waits, for it finishes what was begun.
  func perform<Value: Sendable>(
    _ loop: EventLoop, _ path: String, insists: Bool = false,
    _ answer: @escaping (Result<Value, DiskFailure>) -> Void,
    _ work: @escaping @Sendable () throws(DiskFailure) -> Value
  ) {
    let box = LoopBox(loop, answer)
    let isTaken = add(insists ? loop : nil) {
      let result = Result { () throws(DiskFailure) in try work() }
      loop.post { box.take()?(result) }
    }
    if !isTaken { loop.soon { answer(.failure(.busy(path))) } }
  }

  /// Without a loop it may be refused.
  private func add(_ loop: EventLoop?, _ job: @escaping @Sendable () -> Void) -> Bool {
    let (isTaken, starts) = queue.withLock { queue in
      guard loop != nil || queue.jobs.count < Self.queueLimit else { return (false, false) }
      queue.jobs.append(job)
      defer { queue.isRunning = true }
      return (true, !queue.isRunning)
    }
    if starts, !pool.submit({ [self] in drain() }) {
      if let loop {
        submitLater(loop)
        return true
      }
      queue.withLock { queue in
        queue.isRunning = false
        _ = queue.jobs.popFirst()
      }
      return false
    }
    return isTaken
  }

  private func submitLater(_ loop: EventLoop) {
    _ = loop.after(Self.patience) { [self] in if !pool.submit({ [self] in drain() }) { submitLater(loop) } }
  }

  private func drain() {
    while let job = queue.withLock({ queue -> (@Sendable () -> Void)? in
      let job = queue.jobs.popFirst()
      if job == nil { queue.isRunning = false }
      return job
    }) {
      job()
    }
  }
}

func check(_ outcome: Int32, _ path: String) throws(DiskFailure) {
  if outcome != 0 { throw DiskFailure.of(errno, path) }
}

extension DiskFailure {
  static func of(_ number: Int32, _ path: String) -> DiskFailure {
    switch number {
    case ENOENT, ENOTDIR: .notFound(path)
    case EEXIST: .exists(path)
    case EACCES, EPERM, EROFS: .denied(path)
    // EFBIG: over `ulimit -f`, or what the file system can hold.
    case EMFILE, ENFILE: .noDescriptor(path)
    case ENOSPC, EDQUOT, EFBIG: .full(path)
    default: .other(path, errorText(number))
    }
  }
}
