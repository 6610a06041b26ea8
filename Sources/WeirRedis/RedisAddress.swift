import WeirCore
import WeirStore
import WeirWire

/// Where a Redis is and how to enter it, from a URL:
///
///     redis[s]://[[user]:password@]host[:port][/database][?prefix=weir:]
///
/// `rediss` is TLS. User and password are percent-decoded and are in nothing that is shown.
package struct RedisAddress: Sendable, CustomStringConvertible {
  package static let defaultPort = 6379
  package static let defaultPrefix = "weir:"
  /// Of the prefix of all keys, bytes: it is sent with every command.
  package static let prefixLimit = 128

  package let isEncrypted: Bool
  package let socket: SocketAddress
  package let user: String?
  package let password: Secret?
  package let database: Int
  /// What every key begins with.
  package let prefix: String
  /// What must not come back in an error's text.
  let secrets: Secrets

  package init(_ url: String) throws(StoreFailure) {
    func no(_ why: String) -> StoreFailure { .unavailable("the store's URL is not usable: \(why)") }
    guard let mark = url.range(ofText: "://") else { throw no("it starts with redis:// or rediss://") }
    let scheme = url[..<mark.lowerBound]
    let rest = url[mark.upperBound...]
    let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
    let at = rest[..<end].lastIndex(of: "@")
    // The rest of a password with a slash in it would be shown as a host's name.
    guard at != nil || !rest.contains("@") else {
      throw no("what is / ? # or @ in a user or password is written %2F %3F %23 %40")
    }
    let userInfo = at.map { rest[..<$0] }
    let parts: URLParts
    do throws(NetworkFailure) {
      parts = try URLParts(
        "\(scheme)://\(at.map { rest[rest.index(after: $0)...] } ?? rest)", schemes: ["redis", "rediss"])
    } catch {
      if case .badURL(let why) = error { throw no(why) }
      throw no(error.message)
    }
    isEncrypted = parts.scheme == "rediss"
    socket = SocketAddress(host: parts.host, port: parts.explicitPort ?? Self.defaultPort)

    if let userInfo {
      guard let colon = userInfo.firstIndex(of: ":") else {
        throw no("a user without a password; a password alone is written redis://:password@host")
      }
      func decoded(_ text: Substring) throws(StoreFailure) -> String {
        guard let bytes = PercentCoding.decode(text.utf8, plusIsSpace: false),
          let text = String(validating: bytes, as: UTF8.self)
        else { throw no("a % in its user or password begins no escape: it is written %25") }
        return text
      }
      let name = try decoded(userInfo[..<colon])
      user = name.isEmpty ? nil : name
      password = Secret(try decoded(userInfo[userInfo.index(after: colon)...]))
    } else {
      (user, password) = (nil, nil)
    }
    secrets = Secrets((password.map { [$0.value] } ?? []) + (userInfo.map { [String($0)] } ?? []))

    let cut = parts.path.firstIndex(of: "?") ?? parts.path.endIndex
    let path = parts.path[..<cut].dropFirst()
    guard path.isEmpty || path.utf8.allSatisfy({ (0x30...0x39).contains($0) }) && path.utf8.count <= 6,
      let number = path.isEmpty ? 0 : Int(path)
    else { throw no("\"/\(path.prefix(32))\" is not the number of a database, such as /0") }
    database = number

    var prefix = Self.defaultPrefix
    let query: QueryString
    do throws(HTTPFailure) { query = try QueryString(String(parts.path[cut...].dropFirst())) } catch {
      throw no(error.message)
    }
    for (name, value) in query.items {
      guard name == "prefix" else { throw no("\"\(name.prefix(32))\" is no setting of it; prefix is") }
      prefix = value
    }
    guard !prefix.isEmpty, prefix.utf8.count <= Self.prefixLimit, prefix.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
    else { throw no("its prefix has 1 to \(Self.prefixLimit) bytes, without spaces and control characters") }
    self.prefix = prefix
  }

  package var description: String {
    let host = socket.host.contains(":") ? "[\(socket.host)]" : socket.host
    return "redis\(isEncrypted ? "s" : "")://\(host):\(socket.port)/\(database)"
  }
}
