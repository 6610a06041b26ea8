import CWeir
import Glibc
import WeirCore

/// The `Disk` port over the machine's files: every call is made on a pool's thread, its answer comes on the loop.
///
/// Operations on paths are done one after the other, as are those of each open file; different files go side by side.
package final class FileDisk: Disk {
  private let loop: EventLoop
  private let pool: ThreadPool
  private let paths: DiskLane

  package init(_ loop: EventLoop, _ pool: ThreadPool) {
    self.loop = loop
    self.pool = pool
    paths = DiskLane(pool)
    weir_ignore_write_signals()
  }

  package func open(
    _ path: String, _ mode: DiskMode, _ answer: @escaping (Result<any DiskFile, DiskFailure>) -> Void
  ) {
    let (loop, pool) = (self.loop, self.pool)
    let opened = { (file: Result<OpenFile, DiskFailure>) in answer(file.map { FileHandle($0, loop, DiskLane(pool)) }) }
    perform(path, opened) { () throws(DiskFailure) in try OpenFile(path, mode) }
  }

  package func read(_ path: String, limit: Int, _ answer: @escaping (Result<[UInt8], DiskFailure>) -> Void) {
    perform(path, answer) { () throws(DiskFailure) in
      let file = try OpenFile(path, .read)
      // One byte more than allowed tells a file that grew, or has no size (/proc), from one that fits.
      let bytes = try file.read(at: 0, count: limit == .max ? limit : limit + 1, trustsSize: false)
      if bytes.count > limit { throw .tooLarge(path, limit: limit) }
      return bytes
    }
  }

  /// Names in byte order, without "." and "..".
  package func list(_ directory: String, _ answer: @escaping (Result<[String], DiskFailure>) -> Void) {
    perform(directory, answer) { () throws(DiskFailure) in
      guard let stream = opendir(directory) else { throw DiskFailure.of(errno, directory) }
      defer { closedir(stream) }
      var names: [String] = []
      errno = 0
      while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 1) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
        errno = 0
      }
      if errno != 0 { throw DiskFailure.of(errno, directory) }
      return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
  }

  package func makeDirectory(_ path: String, isPrivate: Bool, _ answer: @escaping (DiskFailure?) -> Void) {
    act(path, answer) { () throws(DiskFailure) in try check(mkdir(path, isPrivate ? 0o700 : 0o777), path) }
  }

  package func remove(_ path: String, _ answer: @escaping (DiskFailure?) -> Void) {
    act(path, answer) { () throws(DiskFailure) in try check(Glibc.remove(path), path) }
  }

  package func rename(_ from: String, _ to: String, _ answer: @escaping (DiskFailure?) -> Void) {
    act(from, answer) { () throws(DiskFailure) in
      if to.utf8.contains(0) { throw .other(to, "a path cannot hold a NUL") }
      try check(Glibc.rename(from, to), from)
    }
  }

  package func synchronizeDirectory(_ path: String, _ answer: @escaping (DiskFailure?) -> Void) {
    act(path, answer) { () throws(DiskFailure) in
      let fd = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      if fd < 0 { throw DiskFailure.of(errno, path) }
      defer { closeDescriptor(fd) }
      try check(fsync(fd), path)
    }
  }

  /// In one job: a change of threads for all of it.
  package func commit(
    _ writes: [DiskWrite], to log: any DiskFile, at place: Int, padding: Int, _ answer: @escaping (DiskCommit) -> Void
  ) {
    guard let log = log as? FileHandle else { preconditionFailure("a file of another disk") }
    log.commit(
      writes.map { (($0.file as? FileHandle)?.file, $0.bytes, $0.place, $0.entry) }, at: place, padding, answer)
  }

  /// In one job, which for many files makes the whole file system durable at once: a synchronisation for each of them takes a
  /// hundred times as long.
  package func settle(_ patches: [DiskPatch], in directory: String, _ answer: @escaping (DiskFailure?) -> Void) {
    act(directory, answer) { () throws(DiskFailure) in
      // Opened before anything is written: what goes wrong from then on is told to this descriptor.
      let folder = try OpenFile(directory, .directory)
      let isTogether = patches.count > Self.togetherLimit && weir_syncs_whole(folder.descriptor) != 0
      for patch in patches { try Self.write(patch, synchronizes: !isTogether) }
      // When it says no, a file that is not ours may be at fault.
      if isTogether, weir_sync_whole(folder.descriptor) != 0 {
        for patch in patches { try Self.write(patch, synchronizes: true) }
      }
      try folder.synchronize()
    }
  }

  /// So many files are synchronised one by one.
  private static let togetherLimit = 64

  private static func write(_ patch: DiskPatch, synchronizes: Bool) throws(DiskFailure) {
    let file: OpenFile
    do throws(DiskFailure) { file = try OpenFile(patch.path, .readWrite) } catch {
      guard case .notFound = error else { throw error }
      guard patch.makes else { return }
      file = try OpenFile(patch.path, .create)
    }
    for piece in patch.pieces { try file.write(piece.bytes, at: piece.place) }
    if synchronizes { try file.synchronize() }
  }

  package func watch(
    _ directory: String, _ changed: @escaping (DirectoryChange) -> Void,
    _ answer: @escaping (Result<any Cancellable, DiskFailure>) -> Void
  ) {
    let loop = self.loop
    let opened = { (descriptor: Result<Int32, DiskFailure>) in
      answer(descriptor.map { DirectoryWatch(loop, descriptor: $0, changed) })
    }
    perform(directory, opened) { () throws(DiskFailure) in try DirectoryWatch.begin(directory) }
  }

  private func act(
    _ path: String, _ answer: @escaping (DiskFailure?) -> Void,
    _ work: @escaping @Sendable () throws(DiskFailure) -> Void
  ) {
    let done = { (result: Result<Void, DiskFailure>) in answer(result.failure) }
    perform(path, done, work)
  }

  private func perform<Value: Sendable>(
    _ path: String, _ answer: @escaping (Result<Value, DiskFailure>) -> Void,
    _ work: @escaping @Sendable () throws(DiskFailure) -> Value
  ) {
    paths.perform(loop, path, answer) { () throws(DiskFailure) in
      // C would end the path at the NUL: another file than the one that was named.
      if path.utf8.contains(0) { throw .other(path, "a path cannot hold a NUL") }
      return try work()
    }
  }
}

/// An open file, as the loop sees it.
final class FileHandle: DiskFile {
  let file: OpenFile
  private let loop: EventLoop
  private let lane: DiskLane
  private var isClosed = false

  init(_ file: OpenFile, _ loop: EventLoop, _ lane: DiskLane) {
    self.file = file
    self.loop = loop
    self.lane = lane
  }

  func read(at: Int, count: Int, _ answer: @escaping (Result<[UInt8], DiskFailure>) -> Void) {
    perform(answer) { file throws(DiskFailure) in try file.read(at: at, count: count, trustsSize: true) }
  }

  func write(_ bytes: [UInt8], at: Int, _ answer: @escaping (DiskFailure?) -> Void) {
    act(answer) { file throws(DiskFailure) in try file.write(bytes, at: at) }
  }

  func synchronize(_ answer: @escaping (DiskFailure?) -> Void) {
    act(insists: true, answer) { file throws(DiskFailure) in try file.synchronize() }
  }

  /// This file is the log. Nothing else may be under way in the files of the writes.
  fileprivate func commit(
    _ writes: [(file: OpenFile?, bytes: [UInt8], place: Int, entry: [UInt8])], at place: Int, _ padding: Int,
    _ answer: @escaping (DiskCommit) -> Void
  ) {
    let done = { (result: Result<DiskCommit, DiskFailure>) in
      switch result {
      case .success(let commit): answer(commit)
      // Nothing was begun.
      case .failure(let failure):
        answer(DiskCommit(failures: writes.map { _ in failure }, length: 0, logFailure: nil))
      }
    }
    perform(done) { log throws(DiskFailure) in
      var commit = DiskCommit(failures: [], length: 0, logFailure: nil)
      commit.failures.reserveCapacity(writes.count)
      var bytes: [UInt8] = []
      for write in writes {
        do throws(DiskFailure) {
          try write.file?.write(write.bytes, at: write.place)
          commit.failures.append(nil)
          bytes += write.entry
        } catch {
          commit.failures.append(error)
        }
      }
      commit.length = bytes.count
      if bytes.isEmpty { return commit }
      bytes.append(contentsOf: repeatElement(0, count: padding))
      do throws(DiskFailure) {
        try log.write(bytes, at: place)
        try log.synchronize()
        // Elsewhere nobody will look for what it has.
        if !log.isInPlace { throw .removed(log.path) }
      } catch {
        commit.logFailure = error
      }
      return commit
    }
  }

  func truncate(to size: Int, _ answer: @escaping (DiskFailure?) -> Void) {
    act(insists: true, answer) { file throws(DiskFailure) in try check(ftruncate(file.descriptor, size), file.path)
    }
  }

  func size(_ answer: @escaping (Result<Int, DiskFailure>) -> Void) {
    perform(answer) { file throws(DiskFailure) in try file.size() }
  }

  /// What was asked before is still done and answered; then the descriptor goes, with the last job that holds it. A lock goes now.
  func close() {
    isClosed = true
    file.unlock()
  }

  deinit { file.unlock() }

  private func act(
    insists: Bool = false, _ answer: @escaping (DiskFailure?) -> Void,
    _ work: @escaping @Sendable (OpenFile) throws(DiskFailure) -> Void
  ) {
    let done = { (result: Result<Void, DiskFailure>) in answer(result.failure) }
    perform(insists: insists, done, work)
  }

  private func perform<Value: Sendable>(
    insists: Bool = false, _ answer: @escaping (Result<Value, DiskFailure>) -> Void,
    _ work: @escaping @Sendable (OpenFile) throws(DiskFailure) -> Value
  ) {
    let file = self.file
    if isClosed {
      loop.soon { answer(.failure(.other(file.path, "the file is closed"))) }
      return
    }
    lane.perform(loop, file.path, insists: insists, answer) { () throws(DiskFailure) in try work(file) }
  }
}

extension Result {
  var failure: Failure? { if case .failure(let failure) = self { failure } else { nil } }
}
