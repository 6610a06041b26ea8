import CCurl
import CWeir
import Glibc
import WeirCore

/// The `HTTPTransport` port over libcurl's multi_socket interface, in the loop.
///
/// libcurl tells which sockets and which one deadline it waits for; the loop tells it when they come. It may not be
/// called from inside its own callbacks, and handlers are called from there: what they ask for (a new request, a
/// cancel, reading on) is done when the outermost call into libcurl has returned.
package final class CurlTransport: HTTPTransport {
  /// Idle and busy connections kept for reuse.
  static let poolLimit = 256

  private let loop: EventLoop
  private let outside: CurlOutside
  /// A connection that was opened under one policy is of no use to another.
  private var engines: [NetworkPolicy?: CurlEngine] = [:]

  /// `trustFile`: PEM bundle to trust instead of the system's; for private authorities.
  package init(_ loop: EventLoop, resolver: Resolver, proxies: ProxySettings, trustFile: String?) {
    self.loop = loop
    outside = CurlOutside(resolver: resolver, proxies: proxies, trustFile: trustFile)
  }

  package func start(_ request: HTTPClientRequest, handler: any HTTPResponseHandler) -> any HTTPExchange {
    let exchange = CurlExchange(request, handler)
    switch readyEngine(request.policy) {
    case .success(let engine): exchange.begin(engine)
    case .failure(let failure): loop.soon { exchange.finish(failure) }
    }
    return exchange
  }

  private func readyEngine(_ policy: NetworkPolicy?) -> Result<CurlEngine, NetworkFailure> {
    if let engine = engines[policy] { return .success(engine) }
    return CurlLibrary.shared.flatMap { library in
      guard let made = CurlEngine(loop, library, outside) else {
        return .failure(.unavailable("libcurl has no memory for a connection pool"))
      }
      engines[policy] = made
      return .success(made)
    }
  }
}

/// How this machine reaches others.
struct CurlOutside {
  let resolver: Resolver
  let proxies: ProxySettings
  let trustFile: String?
}

/// One multi handle and the transfers on it.
final class CurlEngine {
  let loop: EventLoop
  let library: CurlLibrary
  let outside: CurlOutside
  private let multi: UnsafeMutableRawPointer
  private var transfers: [UnsafeMutableRawPointer: CurlTransfer] = [:]
  private var sockets: [Int32: Socket] = [:]
  private var timer: (any Cancellable)?
  private var depth = 0
  private var isSettling = false
  private var deferred = Ring<() -> Void>()

  private final class Socket: ReadinessHandler {
    unowned let engine: CurlEngine
    let descriptor: Int32
    init(_ engine: CurlEngine, _ descriptor: Int32) {
      self.engine = engine
      self.descriptor = descriptor
    }
    func becameReady(_ ready: Readiness) {
      var mask: Int32 = 0
      if ready.contains(.readable) { mask |= CURL_CSELECT_IN }
      if ready.contains(.writable) { mask |= CURL_CSELECT_OUT }
      if ready.contains(.broken) { mask |= CURL_CSELECT_ERR }
      engine.act(descriptor, mask)
    }
  }

  init?(_ loop: EventLoop, _ library: CurlLibrary, _ outside: CurlOutside) {
    guard let multi = library.functions.multi_init() else { return nil }
    self.loop = loop
    self.library = library
    self.outside = outside
    self.multi = multi
    // TLS inside libcurl writes to sockets without MSG_NOSIGNAL, and with NOSIGNAL set it leaves SIGPIPE to us.
    weir_ignore_write_signals()
    let own = Unmanaged.passUnretained(self).toOpaque()
    let table = library.table
    _ = weir_multi_pointer(table, multi, CURLMOPT_SOCKETDATA, own)
    _ = weir_multi_socket(table, multi) { _, socket, what, engine, _ in
      if let engine { Unmanaged<CurlEngine>.fromOpaque(engine).takeUnretainedValue().watch(socket, what) }
      return 0
    }
    _ = weir_multi_pointer(table, multi, CURLMOPT_TIMERDATA, own)
    _ = weir_multi_timer(table, multi) { _, milliseconds, engine in
      if let engine { Unmanaged<CurlEngine>.fromOpaque(engine).takeUnretainedValue().setTimer(milliseconds) }
      return 0
    }
    _ = weir_multi_long(table, multi, CURLMOPT_MAXCONNECTS, CurlTransport.poolLimit)
  }

  /// libcurl calls back while it closes its connections; nobody is left to hear it but the closer of sockets.
  deinit {
    timer?.cancel()
    for socket in sockets.keys { loop.unwatch(socket) }
    sockets = [:]
    _ = weir_multi_timer(library.table, multi, nil)
    _ = weir_multi_socket(library.table, multi, nil)
    for transfer in transfers.values {
      transfer.isCancelled = true
      _ = library.functions.multi_remove_handle(multi, transfer.easy)
      transfer.free()
    }
    _ = library.functions.multi_cleanup(multi)
  }

  // MARK: Transfers

  func add(_ transfer: CurlTransfer) {
    whenOut { [self] in
      transfers[transfer.easy] = transfer
      inside { _ = library.functions.multi_add_handle(multi, transfer.easy) }
    }
  }

  /// Closes the transfer's socket now, unless its answer is complete.
  func remove(_ transfer: CurlTransfer) {
    whenOut { [self] in
      guard transfers.removeValue(forKey: transfer.easy) != nil else { return }
      inside { _ = library.functions.multi_remove_handle(multi, transfer.easy) }
      transfer.free()
    }
  }

  func resume(_ transfer: CurlTransfer) {
    whenOut { [self] in
      guard transfers[transfer.easy] != nil, transfer.isPaused, transfer.wantsReading else { return }
      transfer.isPaused = false
      inside { _ = library.functions.easy_pause(transfer.easy, CURLPAUSE_CONT) }
    }
  }

  /// Runs the job when no call into libcurl is under way: at once, or when the outermost one returns.
  private func whenOut(_ job: @escaping () -> Void) {
    if depth == 0, !isSettling { job() } else { deferred.append(job) }
  }

  private func inside(_ call: () -> Void) {
    depth += 1
    call()
    depth -= 1
    if depth == 0, !isSettling { settle() }
  }

  /// Does what was asked for inside libcurl and hands out what has ended. Handlers called from here may ask for more;
  /// that, too, is done here, one after the other, never one inside another.
  private func settle() {
    isSettling = true
    defer { isSettling = false }
    while true {
      if let job = deferred.popFirst() {
        job()
        continue
      }
      var left: Int32 = 0
      guard let message = library.functions.multi_info_read(multi, &left) else { return }
      guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
      let result = weir_message_result(message)
      guard let transfer = transfers.removeValue(forKey: easy) else { continue }
      inside { _ = library.functions.multi_remove_handle(multi, easy) }
      transfer.completed(result)
      transfer.free()
    }
  }

  // MARK: What libcurl waits for

  private func act(_ socket: Int32, _ mask: Int32) {
    var running: Int32 = 0
    inside { _ = library.functions.multi_socket_action(multi, socket, mask, &running) }
  }

  /// libcurl may remove a socket and add the same number again: our own table says what is registered.
  private func watch(_ descriptor: Int32, _ what: Int32) {
    var interest: Readiness = []
    if what == CURL_POLL_IN || what == CURL_POLL_INOUT { interest.insert(.readable) }
    if what == CURL_POLL_OUT || what == CURL_POLL_INOUT { interest.insert(.writable) }
    if what == CURL_POLL_REMOVE || interest.isEmpty {
      forget(descriptor)
    } else if sockets[descriptor] != nil {
      loop.rewatch(descriptor, interest)
    } else {
      let socket = Socket(self, descriptor)
      if loop.watch(descriptor, interest, socket) == 0 { sockets[descriptor] = socket }
    }
  }

  func forget(_ descriptor: Int32) {
    if sockets.removeValue(forKey: descriptor) != nil { loop.unwatch(descriptor) }
  }

  /// One-shot: libcurl asks anew whenever it wants another.
  private func setTimer(_ milliseconds: Int) {
    timer?.cancel()
    timer = nil
    guard milliseconds >= 0 else { return }
    timer = loop.after(.milliseconds(milliseconds)) { [unowned self] in
      timer = nil
      act(CURL_SOCKET_TIMEOUT, 0)
    }
  }
}
