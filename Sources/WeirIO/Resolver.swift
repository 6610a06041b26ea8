import Glibc
import WeirCore

/// Names to addresses, off the loop: `getaddrinfo` on a small pool, so hosts files, search domains and whatever else
/// the machine uses hold here too. Literal addresses are answered without a thread.
package final class Resolver {
  private let loop: EventLoop
  private let pool: ThreadPool
  private let lookUp: LookUp
  /// Blocks; what a name and a port resolve to.
  typealias LookUp = @Sendable (String, Int) throws(NetworkFailure) -> [IPAddress]

  package convenience init(_ loop: EventLoop, _ pool: ThreadPool) {
    self.init(loop, pool) { name, port throws(NetworkFailure) in try Self.lookUp(name, port) }
  }

  init(_ loop: EventLoop, _ pool: ThreadPool, lookUp: @escaping LookUp) {
    self.loop = loop
    self.pool = pool
    self.lookUp = lookUp
  }

  private final class Lookup: Cancellable {
    var answer: ((Result<[IPAddress], NetworkFailure>) -> Void)?
    func cancel() { answer = nil }
    func give(_ result: Result<[IPAddress], NetworkFailure>) { answer.take()?(result) }
  }

  /// Answers later, never empty, in an order worth dialling: families by turns, the system's favourite first.
  func resolve(
    _ address: SocketAddress, _ answer: @escaping (Result<[IPAddress], NetworkFailure>) -> Void
  ) -> any Cancellable {
    let lookup = Lookup()
    lookup.answer = answer
    if let literal = IPAddress(address.host, port: address.port) {
      loop.soon { lookup.give(.success([literal])) }
      return lookup
    }
    guard let name = Self.usableName(address) else {
      loop.soon { lookup.give(.failure(.nameNotFound(host: address.host))) }
      return lookup
    }
    let box = LoopBox(loop, lookup)
    let port = address.port
    let taken = pool.submit { [loop, lookUp] in
      let result = Result { () throws(NetworkFailure) in try lookUp(name, port) }
      loop.post { box.take()?.give(result) }
    }
    if !taken {
      loop.soon { lookup.give(.failure(.unavailable("too many names are being looked up"))) }
    }
    return lookup
  }

  /// A NUL would end the name early for the C library: another name than the one that was checked.
  private static func usableName(_ address: SocketAddress) -> String? {
    let name = address.host.utf8
    guard (1...253).contains(name.count), (0...65535).contains(address.port) else { return nil }
    return name.allSatisfy { $0 > 0x20 && $0 != 0x7f } ? address.host : nil
  }

  /// Blocks.
  static func lookUp(_ name: String, _ port: Int) throws(NetworkFailure) -> [IPAddress] {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(name, nil, &hints, &list)
    defer { if let list { freeaddrinfo(list) } }
    switch code {
    case 0: break
    case EAI_NONAME, -5: throw .nameNotFound(host: name)
    case EAI_AGAIN: throw .unavailable("no name server answered for \"\(name)\"")
    default: throw .unavailable("looking up \"\(name)\": \(String(cString: gai_strerror(code)))")
    }
    var found: [IPAddress] = []
    var next = list
    while let entry = next {
      if let pointer = entry.pointee.ai_addr, var address = IPAddress(pointer) {
        address.port = UInt16(port)
        if !found.contains(address) { found.append(address) }
      }
      next = entry.pointee.ai_next
    }
    guard let first = found.first else { throw .nameNotFound(host: name) }
    return byTurns(found.filter { $0.isV6 == first.isV6 }, found.filter { $0.isV6 != first.isV6 })
  }

  private static func byTurns(_ a: [IPAddress], _ b: [IPAddress]) -> [IPAddress] {
    var merged: [IPAddress] = []
    for index in 0..<max(a.count, b.count) {
      if index < a.count { merged.append(a[index]) }
      if index < b.count { merged.append(b[index]) }
    }
    return merged
  }
}
