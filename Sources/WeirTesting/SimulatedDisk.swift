import WeirCore

/// The `Disk` port in memory, as unkind as POSIX allows: what was not synchronised may be gone, torn or reordered
/// after a crash, names are durable only after their directory was synchronised, and a failed `synchronize` loses
/// what it should have kept for good.
///
/// `crash()` is a power cut: nothing under way answers any more, open files are dead, and what the next `open` finds
/// is drawn from the seed. Answers come in the order asked for each file, each after some latency.
package final class SimulatedDisk: Disk {
  package var faults: SimulatedFaults
  /// Bytes all files together may hold; nil for no limit. A write that doesn't fit leaves the part that does.
  package var capacity: Int?
  package var isReadOnly = false

  let loop: SimulatedLoop
  let random: SeededRandom
  let trace: SimulationTrace
  /// What programs see now.
  private var names = SimulatedNames()
  /// What a crash is sure to leave.
  private var durableNames = SimulatedNames()
  /// Changes of names since their directory was synchronised, oldest first.
  private var pending: [(directory: String, change: SimulatedNames.Change)] = []
  private var power = 0
  private var nextAnswer = Instant(nanoseconds: 0)
  private var watches: [SimulatedWatch] = []
  /// Files that somebody holds a lock of.
  private var locked: Set<String> = []

  package init(loop: SimulatedLoop, random: SeededRandom, faults: SimulatedFaults, trace: SimulationTrace) {
    self.loop = loop
    self.random = random
    self.faults = faults
    self.trace = trace
  }

  // MARK: For the test

  /// Files that fail to synchronise, by their paths.
  package var failsToSynchronize: (String) -> Bool = { _ in false }
  /// Files that fail to be read.
  package var failsToRead: (String) -> Bool = { _ in false }
  /// Files that can be open at a time; nil for no limit.
  package var openLimit: Int?
  /// Files that are open now, and the most that ever were.
  package internal(set) var openFiles = 0 { didSet { mostOpenFiles = max(mostOpenFiles, openFiles) } }
  package private(set) var mostOpenFiles = 0
  /// Files that say so although everything reached the disk.
  package var failsBehindSynchronizing: (String) -> Bool = { _ in false }
  /// How often a file was synchronised.
  package internal(set) var synchronizations = 0

  package var bytesUsed: Int { names.files.values.reduce(0) { $0 + $1.content.count } }

  package var paths: [String] { names.files.keys.sorted() }

  /// A file's bytes as a program would read them now.
  package func content(_ path: String) -> [UInt8]? { names.files[path]?.content }

  /// Puts a durable file there, or changes one behind the program's back (rot, a foreign tool).
  package func setContent(_ path: String, _ bytes: [UInt8]) {
    var directory = parent(path)
    while true {
      names.directories.insert(directory)
      durableNames.directories.insert(directory)
      if directory == parent(directory) { break }
      directory = parent(directory)
    }
    if let file = names.files[path], durableNames.files[path] === file {
      file.replace(bytes)
    } else {
      let file = SimulatedInode()
      file.replace(bytes)
      names.files[path] = file
      durableNames.files[path] = file
    }
    tell(path, DirectoryChange.content)
  }

  /// The system could not write what was not synchronised of a file, and has let go of it: what is read is what the disk has.
  /// `tells`: the next time that the file is synchronised fails, as long as the system remembers it. `isLong`: it has the length
  /// that it had, with zeros.
  package func losePages(_ path: String, tells: Bool, isLong: Bool) {
    names.files[path]?.losePages(tells: tells, isLong: isLong)
    trace.note("pages of \(path) are lost")
  }

  /// Power is cut and comes back.
  package func crash() {
    power += 1
    // Per directory, changes of names survive as a prefix: journals keep their order.
    var cut: Set<String> = []
    for (directory, change) in pending where !cut.contains(directory) {
      if random.chance(0.5) { durableNames.apply(change) } else { cut.insert(directory) }
    }
    pending = []
    for file in durableNames.files.sorted(by: { $0.key < $1.key }).map(\.value) {
      file.crash(random: random, faults: faults)
    }
    names = durableNames
    for file in names.files.values { file.isRemoved = false }
    // Whoever watched or held a lock died with the machine.
    watches = []
    locked = []
    trace.note("crash, \(names.files.count) files left")
  }

  // MARK: The port

  package func open(_ path: String, _ mode: DiskMode, _ answer: @escaping (Result<any DiskFile, DiskFailure>) -> Void) {
    perform("open", path, answer) { [self] () throws(DiskFailure) in
      if ![.read, .unlocked, .directory].contains(mode), isReadOnly { throw .denied(path) }
      if let openLimit, openFiles >= openLimit { throw .noDescriptor(path) }
      if names.directories.contains(path) {
        if mode == .directory { return SimulatedFile(path: path, inode: SimulatedInode(), mode: mode, disk: self) }
        throw .other(path, "is a directory")
      }
      if mode == .lock || mode == .unlocked, locked.contains(path) { throw .locked(path, by: nil) }
      defer { if mode == .lock { locked.insert(path) } }
      if let file = names.files[path] {
        if mode == .create || mode == .newSecret { throw .exists(path) }
        let opened = SimulatedFile(path: path, inode: file, mode: mode, disk: self)
        if mode == .secret { file.apply(.truncate(to: 0)) }
        return opened
      }
      let makesFiles = [.create, .append, .secret, .newSecret, .lock].contains(mode)
      guard makesFiles, names.directories.contains(parent(path)) else { throw .notFound(path) }
      let file = SimulatedInode()
      change(.link(path, file), in: parent(path))
      return SimulatedFile(path: path, inode: file, mode: mode, disk: self)
    }
  }

  /// A lock goes when its file is closed, or nobody has it any more.
  func unlock(_ path: String, power: Int) { if power == self.power { locked.remove(path) } }

  package func read(_ path: String, limit: Int, _ answer: @escaping (Result<[UInt8], DiskFailure>) -> Void) {
    perform("read", path, answer) { [self] () throws(DiskFailure) in
      guard let file = names.files[path] else { throw .notFound(path) }
      if failsToRead(path) { throw .other(path, "input/output error (simulated)") }
      guard file.content.count <= limit else { throw .tooLarge(path, limit: limit) }
      return file.content
    }
  }

  package func list(_ directory: String, _ answer: @escaping (Result<[String], DiskFailure>) -> Void) {
    perform("list", directory, answer) { [self] () throws(DiskFailure) in
      guard names.directories.contains(directory) else { throw .notFound(directory) }
      let here = directory == "/" ? "/" : directory + "/"
      let all = Array(names.files.keys) + names.directories.filter { $0 != "/" }
      // Directory order is the file system's own; programs must not rely on any.
      return all.filter { parent($0) == directory }.map { String($0.dropFirst(here.count)) }.sorted()
    }
  }

  package func makeDirectory(_ path: String, isPrivate: Bool, _ answer: @escaping (DiskFailure?) -> Void) {
    performChange("mkdir", path, answer) { [self] () throws(DiskFailure) in
      if names.files[path] != nil || names.directories.contains(path) { throw .exists(path) }
      guard names.directories.contains(parent(path)) else { throw .notFound(path) }
      change(.makeDirectory(path), in: parent(path))
    }
  }

  package func remove(_ path: String, _ answer: @escaping (DiskFailure?) -> Void) {
    performChange("remove", path, answer) { [self] () throws(DiskFailure) in
      if names.directories.contains(path) {
        let inside = Array(names.files.keys) + names.directories
        guard path != "/", !inside.contains(where: { $0 != path && parent($0) == path }) else {
          throw .other(path, "directory not empty")
        }
      } else if names.files[path] == nil {
        throw .notFound(path)
      }
      change(.remove(path), in: parent(path))
    }
  }

  package func rename(_ from: String, _ to: String, _ answer: @escaping (DiskFailure?) -> Void) {
    performChange("rename", from, answer) { [self] () throws(DiskFailure) in
      guard names.files[from] != nil else { throw .notFound(from) }
      guard names.directories.contains(parent(to)) else { throw .notFound(to) }
      change(.rename(from, to), in: parent(to))
    }
  }

  package func synchronizeDirectory(_ path: String, _ answer: @escaping (DiskFailure?) -> Void) {
    let told: (Result<Void, DiskFailure>) -> Void = { answer($0.failure) }
    perform("sync", path, told) { [self] () throws(DiskFailure) in
      guard names.directories.contains(path) else { throw .notFound(path) }
      if let openLimit, openFiles >= openLimit { throw .noDescriptor(path) }
      keepNames(in: path)
    }
  }

  /// What was done to names in the directory is durable.
  func keepNames(in path: String) {
    for (directory, change) in pending where directory == path { durableNames.apply(change) }
    pending.removeAll { $0.directory == path }
  }

  func hasDirectory(_ path: String) -> Bool { names.directories.contains(path) }

  package func watch(
    _ directory: String, _ changed: @escaping (DirectoryChange) -> Void,
    _ answer: @escaping (Result<any Cancellable, DiskFailure>) -> Void
  ) {
    perform("watch", directory, answer) { [self] () throws(DiskFailure) in
      guard names.directories.contains(directory) else { throw .notFound(directory) }
      let watch = SimulatedWatch(directory: directory, changed: changed)
      watches.append(watch)
      return watch
    }
  }

  /// Tells who watches, some time later. Random numbers are drawn only if somebody does.
  func tell(_ path: String, _ change: (String) -> DirectoryChange) {
    if watches.isEmpty { return }
    watches.removeAll { $0.changed == nil }
    let directory = parent(path)
    let told = change(String(path.dropFirst(directory == "/" ? 1 : directory.count + 1)))
    for watch in watches where watch.directory == directory {
      deliver(after: &watch.nextTelling, told) { watch.changed?($0) }
    }
  }

  // MARK: What every operation does

  private func change(_ change: SimulatedNames.Change, in directory: String) {
    switch change {
    case .remove(let path): names.files[path]?.isRemoved = true
    case .rename(_, let path): names.files[path]?.isRemoved = true
    case .link, .makeDirectory: break
    }
    names.apply(change)
    pending.append((directory, change))
    switch change {
    case .makeDirectory: break
    case .link(let path, _), .remove(let path): tell(path, DirectoryChange.name)
    case .rename(let from, let to):
      tell(from, DirectoryChange.name)
      tell(to, DirectoryChange.name)
    }
  }

  private func performChange(
    _ what: String, _ path: String, _ answer: @escaping (DiskFailure?) -> Void,
    _ work: @escaping () throws(DiskFailure) -> Void
  ) {
    let told: (Result<Void, DiskFailure>) -> Void = { answer($0.failure) }
    perform(what, path, told) { [self] () throws(DiskFailure) in
      if isReadOnly { throw .denied(path) }
      try work()
    }
  }

  /// Does the work now, so that operations take effect in the order asked, and answers later.
  private func perform<T>(
    _ what: String, _ path: String, _ answer: @escaping (Result<T, DiskFailure>) -> Void,
    _ work: () throws(DiskFailure) -> T
  ) {
    var result: Result<T, DiskFailure>
    if random.chance(faults.diskError) {
      result = .failure(.other(path, "input/output error (simulated)"))
    } else {
      do throws(DiskFailure) { result = .success(try work()) } catch { result = .failure(error) }
    }
    trace.note("\(what) \(path) \(result.failure?.code ?? "ok")")
    deliver(after: &nextAnswer, result, answer)
  }

  /// Answers after some latency, after the answers before it, and not at all if power goes first.
  func deliver<T>(after last: inout Instant, _ result: T, _ answer: @escaping (T) -> Void) {
    last = max(last, loop.now + random.duration(faults.diskLatency))
    let power = self.power
    _ = loop.after(last - loop.now) { [self] in
      if power == self.power { answer(result) }
    }
  }

  var currentPower: Int { power }

  private func parent(_ path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}

/// Somebody who is told of changes in a directory.
final class SimulatedWatch: Cancellable {
  let directory: String
  private(set) var changed: ((DirectoryChange) -> Void)?
  var nextTelling = Instant(nanoseconds: 0)

  init(directory: String, changed: @escaping (DirectoryChange) -> Void) {
    self.directory = directory
    self.changed = changed
  }

  func cancel() { changed = nil }
}

/// Which names lead to which files.
struct SimulatedNames {
  enum Change {
    case link(String, SimulatedInode)
    case makeDirectory(String)
    case remove(String)
    case rename(String, String)
  }

  var files: [String: SimulatedInode] = [:]
  /// The root, the working directory, and where temporary files go are there from the start.
  var directories: Set<String> = ["/", ".", "/tmp"]

  mutating func apply(_ change: Change) {
    switch change {
    case .link(let path, let file): files[path] = file
    case .makeDirectory(let path): directories.insert(path)
    case .remove(let path):
      files[path] = nil
      directories.remove(path)
    case .rename(let from, let to):
      if let file = files.removeValue(forKey: from) { files[to] = file }
    }
  }
}

extension Result {
  var failure: Failure? { if case .failure(let failure) = self { failure } else { nil } }
}
