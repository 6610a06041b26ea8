import Glibc
import WeirCore

/// The `Network` port over the machine's sockets.
package final class SocketNetwork: Network {
  private let loop: EventLoop
  private let resolver: Resolver
  private let report: (NetworkFailure) -> Void
  private var clientContexts: [String?: TLSContext] = [:]

  /// `report` hears of trouble that has no caller: a listener that cannot accept for want of descriptors.
  package init(_ loop: EventLoop, resolver: Resolver, report: @escaping (NetworkFailure) -> Void) {
    self.loop = loop
    self.resolver = resolver
    self.report = report
  }

  /// An empty host or "*" is every address of the machine, both families. A name is looked up at once, which may
  /// block: servers listen before they serve.
  package func listen(
    _ address: SocketAddress, tls: ServerTLS?, accept: @escaping (any ByteStream) -> Void
  ) throws(NetworkFailure) -> any Listener {
    let context = try tls.map { files throws(NetworkFailure) in try TLSContext.server(files) }
    let addresses = try Self.numeric(address)
    var failure = NetworkFailure.badAddress(address.host)
    for numeric in addresses {
      do {
        if let context { return try TLSListener(loop, address, numeric, context, report: report, accept: accept) }
        return try SocketListener(loop, address, numeric, report: report) { accept($0) }
      } catch {
        failure = error
        // Only "this machine has no such family" lets the next one try.
        guard case .badAddress = error else { throw error }
      }
    }
    throw failure
  }

  package func connect(
    _ address: SocketAddress, tls: ClientTLS?, permit: DialPermit?, timeout: Duration,
    _ answer: @escaping (Result<any ByteStream, NetworkFailure>) -> Void
  ) -> any Cancellable {
    guard let tls else {
      return Dial(loop, resolver, address, permit: permit, timeout: timeout) { answer($0.map { $0 }) }
    }
    do throws(NetworkFailure) {
      let context = try clientContext(tls.trustFile)
      return TLSDial(
        loop, resolver, address, context, serverName: tls.serverName, permit: permit, timeout: timeout, answer)
    } catch {
      let refusal = Refusal(answer)
      loop.soon { refusal.answer?(.failure(error)) }
      return refusal
    }
  }

  package func secure(
    _ stream: any ByteStream, _ tls: ClientTLS, timeout: Duration,
    _ answer: @escaping (Result<any ByteStream, NetworkFailure>) -> Void
  ) -> any Cancellable {
    do throws(NetworkFailure) {
      return TLSDial(
        loop, over: stream, try clientContext(tls.trustFile), serverName: tls.serverName, timeout: timeout, answer)
    } catch {
      stream.close()
      let refusal = Refusal(answer)
      loop.soon { refusal.answer?(.failure(error)) }
      return refusal
    }
  }

  /// An answer that is known and not yet given.
  private final class Refusal: Cancellable {
    var answer: ((Result<any ByteStream, NetworkFailure>) -> Void)?
    init(_ answer: @escaping (Result<any ByteStream, NetworkFailure>) -> Void) { self.answer = answer }
    func cancel() { answer = nil }
  }

  /// Reading the system's roots takes milliseconds: done once for each trust file.
  private func clientContext(_ trustFile: String?) throws(NetworkFailure) -> TLSContext {
    if let known = clientContexts[trustFile] { return known }
    let made = try TLSContext.client(trustFile: trustFile)
    clientContexts[trustFile] = made
    return made
  }

  private static func numeric(_ address: SocketAddress) throws(NetworkFailure) -> [IPAddress] {
    let names =
      switch address.host {
      case "", "*": ["::", "0.0.0.0"]
      case "localhost": ["127.0.0.1", "::1"]
      default: [address.host]
      }
    let literals = names.compactMap { IPAddress($0, port: address.port) }
    if !literals.isEmpty { return literals }
    guard (0...65535).contains(address.port), let found = try? Resolver.lookUp(address.host, address.port) else {
      throw .badAddress(address.host)
    }
    return found
  }
}
