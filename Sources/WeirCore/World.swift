/// The ports: everything that a program of Weir can learn from or do to the outside comes through one `World`.
///
/// The rooms above see these protocols only. `WeirIO` implements them over epoll, sockets, libcurl and files;
/// `WeirTesting` implements them over a seeded, virtual timeline. Law 9: same inputs, same order, same trace.
///
/// Everything here is confined to one loop: values of these types never leave the thread (or the simulation) that
/// made them, callbacks run on it, and none is called after its owner was cancelled or closed.
package struct World {
  package var loop: any Loop
  package var network: any Network
  package var http: any HTTPTransport
  package var disk: any Disk
  package var processes: any Processes
  package var random: any RandomSource
  package var console: any Console
  package var environment: any Environment
  package var signing: any Signing

  package init(
    loop: any Loop, network: any Network, http: any HTTPTransport, disk: any Disk, processes: any Processes,
    random: any RandomSource, console: any Console, environment: any Environment, signing: any Signing
  ) {
    self.loop = loop
    self.network = network
    self.http = http
    self.disk = disk
    self.processes = processes
    self.random = random
    self.console = console
    self.environment = environment
    self.signing = signing
  }
}

// MARK: Signing

/// Ed25519 (RFC 8032): signatures that everybody can check and only who has the seed can make.
package protocol Signing: AnyObject {
  /// 32 bytes, of a seed of 32.
  func publicKey(seed: [UInt8]) throws(NetworkFailure) -> [UInt8]
  /// 64 bytes.
  func signature(of message: [UInt8], seed: [UInt8]) throws(NetworkFailure) -> [UInt8]
}

/// Something under way that can be given up. Cancelling twice, or after it ended, does nothing.
package protocol Cancellable: AnyObject {
  func cancel()
}

// MARK: Time and order

/// Monotonic time in nanoseconds since an arbitrary origin.
package struct Instant: Comparable, Hashable, Sendable {
  package var nanoseconds: Int64
  package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
  package static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
  package static func + (a: Instant, d: Duration) -> Instant { Instant(nanoseconds: a.nanoseconds + d.nanoseconds) }
  package static func - (a: Instant, b: Instant) -> Duration { .nanoseconds(a.nanoseconds - b.nanoseconds) }
}

extension Duration {
  /// Whole nanoseconds, saturating at the ends of `Int64`.
  package var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? .min : .max }
    let (sum, carry) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
    return carry ? (seconds < 0 ? .min : .max) : sum
  }
  package var milliseconds: Int64 { nanoseconds / 1_000_000 }
}

/// The turn of the loop: time, timers, and the two queues by which work is ordered.
///
/// A turn is: read what is ready → run jobs put by `soon` → run the flushes put by `atEndOfTurn` → wait.
package protocol Loop: AnyObject {
  /// Monotonic now, read once a turn.
  var now: Instant { get }
  /// Milliseconds since 1970, UTC.
  var wallClock: Int64 { get }
  /// Fires once, on the loop, no earlier than `delay` from now. Equal deadlines fire in the order they were set.
  func after(_ delay: Duration, _ fire: @escaping () -> Void) -> any Cancellable
  /// Runs later on this loop, first in first out, never inside the caller.
  func soon(_ job: @escaping () -> Void)
  /// Runs once after the jobs of this turn: the place where output of a turn leaves in one write.
  func atEndOfTurn(_ flush: @escaping () -> Void)
}

// MARK: Byte streams (TCP, TLS)

package struct SocketAddress: Hashable, Sendable {
  package var host: String
  package var port: Int
  package init(host: String, port: Int) {
    self.host = host
    self.port = port
  }
}

/// Certificate chain and key, as PEM file paths.
package struct ServerTLS: Sendable {
  package var certificateFile: String
  package var keyFile: String
  package init(certificateFile: String, keyFile: String) {
    self.certificateFile = certificateFile
    self.keyFile = keyFile
  }
}

/// Verification is always on; `trustFile` adds a PEM bundle to the system's roots.
package struct ClientTLS: Sendable {
  package var serverName: String
  package var trustFile: String?
  package init(serverName: String, trustFile: String? = nil) {
    self.serverName = serverName
    self.trustFile = trustFile
  }
}

package protocol Network: AnyObject {
  /// Binds and listens at once. Port 0 takes a free one (`Listener.address` tells which).
  func listen(
    _ address: SocketAddress, tls: ServerTLS?, accept: @escaping (any ByteStream) -> Void
  ) throws(NetworkFailure) -> any Listener
  /// Resolves once, dials and, with `tls`, completes the handshake within `timeout`. Exactly one answer unless
  /// cancelled. With a `permit`, every address of the name must be allowed by it before one is dialled.
  func connect(
    _ address: SocketAddress, tls: ClientTLS?, permit: DialPermit?, timeout: Duration,
    _ answer: @escaping (Result<any ByteStream, NetworkFailure>) -> Void
  ) -> any Cancellable
  /// TLS with whoever is at the other end of a stream that has no handler: a server behind a proxy. The stream belongs
  /// to what comes of it, and is closed if nothing does. Exactly one answer unless cancelled.
  func secure(
    _ stream: any ByteStream, _ tls: ClientTLS, timeout: Duration,
    _ answer: @escaping (Result<any ByteStream, NetworkFailure>) -> Void
  ) -> any Cancellable
}

extension Network {
  /// To a place that the user's own configuration names: no policy is asked.
  package func connect(
    _ address: SocketAddress, tls: ClientTLS?, timeout: Duration,
    _ answer: @escaping (Result<any ByteStream, NetworkFailure>) -> Void
  ) -> any Cancellable {
    connect(address, tls: tls, permit: nil, timeout: timeout, answer)
  }
}

package protocol Listener: AnyObject {
  var address: SocketAddress { get }
  /// Stops accepting and frees the port. Accepted streams live on.
  func close()
}

/// A connected, ordered stream of bytes. The handler is held strongly until the stream ends or `close` is called.
///
/// Backpressure both ways is the kernel's: `send` says how much was taken, `isReading = false` stops reading.
package protocol ByteStream: AnyObject {
  var handler: (any ByteStreamHandler)? { get set }
  var peer: SocketAddress { get }
  var isReading: Bool { get set }
  /// Tries to send now and returns the number of bytes taken. Fewer than given means the socket is full:
  /// `byteStreamBecameWritable` is called once when it has room again. A failed stream takes everything and says
  /// `byteStreamFailed` in a later job.
  func send(_ bytes: Span<UInt8>) -> Int
  /// No more will be sent (FIN, or TLS close_notify). Reading goes on.
  func finishSending()
  /// Closes at once; nothing is called afterwards. What the kernel has taken is still delivered.
  func close()
  /// Closes with a reset: the peer sees an error, not an end.
  func reset()
}

package protocol ByteStreamHandler: AnyObject {
  /// The bytes are valid during the call only.
  func byteStreamReceived(_ bytes: Span<UInt8>)
  func byteStreamBecameWritable()
  /// The peer will send no more. The stream stays open for sending until closed.
  func byteStreamEnded()
  /// Lost: reset, timeout, TLS error. The stream is already closed.
  func byteStreamFailed(_ failure: NetworkFailure)
}

// MARK: HTTP client

package struct HTTPClientRequest: Sendable {
  package var method: String
  package var url: String
  package var headers: [(name: String, value: String)]
  package var body: [UInt8]?
  /// Resolution + TCP + TLS.
  package var connectTimeout: Duration = .seconds(30)
  /// Redirects followed at most; 0 = the 3xx answer is handed over.
  package var redirectLimit = 0
  /// Decides about the URL, about every redirect, and about every address before it is dialled. Nil: the user's own
  /// configuration names the place, and no policy is asked.
  package var policy: NetworkPolicy?
  /// False: the proxy variables are not for it. A proxy resolves names itself, so the policy sees no address; where the URL
  /// is somebody else's choice, it has to.
  package var usesProxy = true
  /// What whoever writes the exchange down leaves out.
  package var secrets = Secrets()
  package init(method: String, url: String, headers: [(name: String, value: String)] = [], body: [UInt8]? = nil) {
    self.method = method
    self.url = url
    self.headers = headers
    self.body = body
  }
}

package struct HTTPResponseHead: Sendable {
  package var status: Int
  package var headers: [(name: String, value: String)]
  package init(status: Int, headers: [(name: String, value: String)]) {
    self.status = status
    self.headers = headers
  }
  /// First value of a header, by case-insensitive name.
  package subscript(_ name: String) -> String? {
    let wanted = name.lowercased()
    return headers.first { $0.name.lowercased() == wanted }?.value
  }
}

/// Requests to elsewhere: TLS, proxies, pooling, decompression and redirects are the transport's.
package protocol HTTPTransport: AnyObject {
  /// Starts at once. The handler is held until `httpFinished` or `cancel`.
  func start(_ request: HTTPClientRequest, handler: any HTTPResponseHandler) -> any HTTPExchange
}

package protocol HTTPExchange: Cancellable {
  /// While false nothing more is read from the server (backpressure); at most one chunk already read may still come.
  var isReading: Bool { get set }
}

package protocol HTTPResponseHandler: AnyObject {
  /// Once, for the final response (never for 1xx or followed redirects).
  func httpReceived(head: HTTPResponseHead)
  /// The bytes are valid during the call only.
  func httpReceived(body: Span<UInt8>)
  /// Exactly once unless cancelled; nil = the response is complete as its framing says.
  func httpFinished(_ failure: NetworkFailure?)
}

// MARK: Disk

/// Files by path. Answers come on the loop, in the order asked for each file; none blocks it.
package protocol Disk: AnyObject {
  func open(_ path: String, _ mode: DiskMode, _ answer: @escaping (Result<any DiskFile, DiskFailure>) -> Void)
  /// Whole file, at most `limit` bytes (larger: `.tooLarge`).
  func read(_ path: String, limit: Int, _ answer: @escaping (Result<[UInt8], DiskFailure>) -> Void)
  func list(_ directory: String, _ answer: @escaping (Result<[String], DiskFailure>) -> Void)
  /// `isPrivate`: for its owner alone.
  func makeDirectory(_ path: String, isPrivate: Bool, _ answer: @escaping (DiskFailure?) -> Void)
  func remove(_ path: String, _ answer: @escaping (DiskFailure?) -> Void)
  /// Atomic within a directory; durable after `synchronizeDirectory`.
  func rename(_ from: String, _ to: String, _ answer: @escaping (DiskFailure?) -> Void)
  func synchronizeDirectory(_ path: String, _ answer: @escaping (DiskFailure?) -> Void)
  /// Makes each of `writes`, each in a file of its own; then writes what `log` is to hold of those that were made, and
  /// synchronises it alone. A log that could not be written or synchronised promises nothing; `.removed`: its name leads elsewhere.
  func commit(
    _ writes: [DiskWrite], to log: any DiskFile, at place: Int, padding: Int, _ answer: @escaping (DiskCommit) -> Void)
  /// Writes all of `patches`, which lie in `directory`, and makes them and the names in it durable.
  func settle(_ patches: [DiskPatch], in directory: String, _ answer: @escaping (DiskFailure?) -> Void)
  /// Tells of every change of the files in `directory` that is made from now on, by whichever process, until the watch that
  /// it answers is cancelled. Told by the system: while nothing changes it costs nothing.
  func watch(
    _ directory: String, _ changed: @escaping (DirectoryChange) -> Void,
    _ answer: @escaping (Result<any Cancellable, DiskFailure>) -> Void)
}

/// A write, and what a log says of it. Without a file it is for the log alone.
package struct DiskWrite {
  package var file: (any DiskFile)?
  package var bytes: [UInt8]
  package var place: Int
  package var entry: [UInt8]

  package init(file: (any DiskFile)?, bytes: [UInt8], at place: Int, entry: [UInt8]) {
    self.file = file
    self.bytes = bytes
    self.place = place
    self.entry = entry
  }
}

/// What has to stand in one file.
package struct DiskPatch: Sendable {
  package var path: String
  /// A file that is not there is made, or else passed over.
  package var makes: Bool
  /// In this order.
  package var pieces: [(place: Int, bytes: [UInt8])]

  package init(path: String, makes: Bool, pieces: [(place: Int, bytes: [UInt8])]) {
    self.path = path
    self.makes = makes
    self.pieces = pieces
  }
}

/// What became of the writes of one `Disk.commit`.
package struct DiskCommit: Sendable {
  /// Of each write, in their order.
  package var failures: [DiskFailure?]
  /// Bytes of entries that were written to the log.
  package var length: Int
  package var logFailure: DiskFailure?

  package init(failures: [DiskFailure?], length: Int, logFailure: DiskFailure?) {
    self.failures = failures
    self.length = length
    self.logFailure = logFailure
  }
}

/// What became of a file in a directory that is watched.
package enum DirectoryChange: Hashable, Sendable {
  /// The file's bytes, or its length.
  case content(String)
  /// The name leads elsewhere than before, or nowhere.
  case name(String)
  /// More happened than could be told, or the directory has gone: anything may be different.
  case unknown
}

extension Disk {
  package func makeDirectory(_ path: String, _ answer: @escaping (DiskFailure?) -> Void) {
    makeDirectory(path, isPrivate: false, answer)
  }

  /// One after the other, by the operations of the files.
  package func commit(
    _ writes: [DiskWrite], to log: any DiskFile, at place: Int, padding: Int, _ answer: @escaping (DiskCommit) -> Void
  ) {
    var commit = DiskCommit(failures: [], length: 0, logFailure: nil)
    var bytes: [UInt8] = []
    func next(_ rest: ArraySlice<DiskWrite>) {
      guard let write = rest.first else { return finish() }
      let written = { (failure: DiskFailure?) in
        commit.failures.append(failure)
        if failure == nil { bytes += write.entry }
        next(rest.dropFirst())
      }
      if let file = write.file { file.write(write.bytes, at: write.place, written) } else { written(nil) }
    }
    func finish() {
      commit.length = bytes.count
      if bytes.isEmpty { return answer(commit) }
      bytes.append(contentsOf: repeatElement(0, count: padding))
      log.write(bytes, at: place) { failure in
        commit.logFailure = failure
        if failure != nil { return answer(commit) }
        log.synchronize { failure in
          commit.logFailure = failure
          answer(commit)
        }
      }
    }
    next(writes[...])
  }

  /// One after the other, by the operations of the files.
  package func settle(_ patches: [DiskPatch], in directory: String, _ answer: @escaping (DiskFailure?) -> Void) {
    func next(_ rest: ArraySlice<DiskPatch>) {
      guard let patch = rest.first else { return synchronizeDirectory(directory, answer) }
      func write(_ pieces: ArraySlice<(place: Int, bytes: [UInt8])>, _ file: any DiskFile) {
        let written = { (failure: DiskFailure?) in
          if let failure {
            file.close()
            answer(failure)
          } else if pieces.isEmpty {
            file.close()
            next(rest.dropFirst())
          } else {
            write(pieces.dropFirst(), file)
          }
        }
        if let piece = pieces.first {
          file.write(piece.bytes, at: piece.place, written)
        } else {
          file.synchronize(written)
        }
      }
      func begin(_ mode: DiskMode) {
        open(patch.path, mode) { result in
          switch result {
          case .success(let file): write(patch.pieces[...], file)
          case .failure(.notFound) where mode == .readWrite && patch.makes: begin(.create)
          case .failure(.notFound) where !patch.makes: next(rest.dropFirst())
          case .failure(let failure): answer(failure)
          }
        }
      }
      begin(.readWrite)
    }
    next(patches[...])
  }
}

package enum DiskMode: Sendable {
  case read, readWrite, create, append
  /// Empty, whatever was there, and for its owner alone.
  case secret
  /// The same, unless there is one: `.exists`.
  case newSecret
  /// Made if it is not there, and held against every other process until it is closed: `.locked` when one has it.
  case lock
  /// Only to read, and only if nobody has its lock: `.locked` when one has it. Nothing is held.
  case unlocked
  /// A directory that is there. It can only be synchronised: that makes the names in it durable.
  case directory
}

package protocol DiskFile: AnyObject {
  func read(at: Int, count: Int, _ answer: @escaping (Result<[UInt8], DiskFailure>) -> Void)
  func write(_ bytes: [UInt8], at: Int, _ answer: @escaping (DiskFailure?) -> Void)
  /// Data (and size) reach stable storage before the answer. `.removed`: no name leads to the file any more, so that nobody
  /// would find it. Never `.busy`: it belongs to a write that was made.
  func synchronize(_ answer: @escaping (DiskFailure?) -> Void)
  /// Never `.busy`, as `synchronize`.
  func truncate(to: Int, _ answer: @escaping (DiskFailure?) -> Void)
  func size(_ answer: @escaping (Result<Int, DiskFailure>) -> Void)
  func close()
}

// MARK: Processes

/// A program to start, without a shell between.
package struct ProcessRequest: Sendable {
  /// What a standard stream of the child is.
  package enum Stream: Sendable {
    /// Reads as ended; takes everything and keeps nothing.
    case null
    /// Between the child and its `ProcessHandler`.
    case pipe
    /// This process's own.
    case inherited
  }

  /// With a slash: this file. Without: the first one of that name that can be executed in the folders of `searchPath`.
  package var executable: String
  /// Absolute folders between colons; what is empty or relative is passed over.
  package var searchPath: String
  /// What the program finds as its own name; nil: `executable`.
  package var name: String?
  package var arguments: [String]
  /// All that the child has; nothing is added.
  package var environment: [EnvironmentVariable]
  package var input = Stream.null
  package var output = Stream.pipe
  package var error = Stream.pipe

  package init(executable: String, searchPath: String, arguments: [String], environment: [EnvironmentVariable]) {
    self.executable = executable
    self.searchPath = searchPath
    self.arguments = arguments
    self.environment = environment
  }
}

/// Children of this process. Each leads a process group of its own, has no descriptor but its standard streams, and
/// starts with every signal as a program finds it after login.
package protocol Processes: AnyObject {
  /// Exactly one answer, in a later job, when the program has been loaded or can't be.
  func start(_ request: ProcessRequest, _ answer: @escaping (Result<any ChildProcess, ProcessFailure>) -> Void)
}

/// A started child. Whoever has it stops it: nothing here waits, and no signal is sent by itself.
package protocol ChildProcess: AnyObject {
  /// Set inside the answer, so that nothing is missed. Held until the child has exited and its pipes have ended, or
  /// `forget`.
  var handler: (any ProcessHandler)? { get set }
  /// While false nothing more is read from its pipes, and a child that goes on writing waits (backpressure).
  var isReading: Bool { get set }
  /// Offers bytes to its standard input and returns how many were taken. Fewer than given means that the pipe is full:
  /// `processInputHasRoom` is called once when it has room again. An input that is closed takes nothing.
  func write(_ bytes: Span<UInt8>) -> Int
  /// The child sees the end of its input behind what was taken.
  func closeInput()
  /// Its pipes to here are closed as they are; a child that writes on is told by the system (SIGPIPE).
  func closeOutputs()
  /// To every process of its group, also after the child itself has exited.
  func signal(_ signal: ProcessSignal)
  /// Whether a process of its group lives. Exact once the child has exited; until then it is true.
  var isGroupAlive: Bool { get }
  /// Nothing is called afterwards, its pipes are closed. It is still reaped when it exits.
  func forget()
}

package enum ProcessSignal: Int32, Sendable {
  case terminate = 15
  case kill = 9
}

/// How a process ended, as the system tells it.
package enum ProcessExit: Hashable, Sendable {
  case code(Int)
  case signal(Int)
  /// Somebody else in this process took the status (a host application that waits for every child).
  case unknown

  /// As a shell would say it: 128 and the number of the signal.
  package var shellCode: Int {
    switch self {
    case .code(let code): code
    case .signal(let number): 128 + number
    case .unknown: -1
    }
  }
}

package protocol ProcessHandler: AnyObject {
  /// The bytes are valid during the call only.
  func processWrote(_ bytes: Span<UInt8>, to stream: ConsoleStream)
  /// Nobody will write to that pipe any more: the child and whoever it gave it to have closed it.
  func processEnded(_ stream: ConsoleStream)
  func processInputHasRoom()
  /// The child closed its standard input, or has gone: nothing will be taken any more.
  func processInputClosed()
  /// Exactly once, possibly before its pipes have ended: its own children may hold them.
  func processExited(_ exit: ProcessExit)
}

// MARK: The rest

/// Bytes that nobody can guess in the real world, and that a seed determines in simulation.
package protocol RandomSource: AnyObject {
  func next() -> UInt64
}

extension RandomSource {
  /// An unguessable identifier: 128 random bits as 26 lower-case base-32 characters.
  package func identifier() -> String {
    let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
    var bits = (UInt128(next()) << 64) | UInt128(next())
    var text: [UInt8] = []
    text.reserveCapacity(26)
    for _ in 0..<26 {
      text.append(alphabet[Int(truncatingIfNeeded: bits & 31)])
      bits >>= 5
    }
    return String(decoding: text, as: UTF8.self)
  }
}

/// The process's own standard streams. stdout is data, stderr is talk (law 8).
package protocol Console: AnyObject {
  func write(_ text: String, to: ConsoleStream)
  func flush()
  /// Reads standard input from now on: pieces of at most 64 KiB in later jobs, nil at its end. For one reader, which may
  /// go on reading after it was cancelled and begun again.
  func readInput(_ receive: @escaping ([UInt8]?) -> Void) -> any InputReading
}

package protocol InputReading: Cancellable {
  /// While false no further piece is asked for; the one under way still comes.
  var isReading: Bool { get set }
}

package enum ConsoleStream: Sendable { case output, error }

package typealias EnvironmentVariable = (name: String, value: String)

package protocol Environment: AnyObject {
  subscript(_ name: String) -> String? { get }
  /// Every variable, for a child to inherit.
  var all: [EnvironmentVariable] { get }
}
