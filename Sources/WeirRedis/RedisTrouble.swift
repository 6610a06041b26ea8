import WeirCore
import WeirStore
import WeirWire

/// Why something did not go as asked, and what a connection makes of it.
enum RedisTrouble: Error, Equatable {
  /// May be over on the next connection: nobody there, an answer that does not come, a server that loads its data or has
  /// become a replica. What was asked is asked again, until its time is up.
  case passing(String)
  /// Will be the same next time: a wrong password, no Redis at all, a key of another kind.
  case lasting(String)
  /// Redis takes no more data.
  case full(String)

  var text: String {
    switch self {
    case .passing(let text), .lasting(let text), .full(let text): text
    }
  }

  func failure(_ address: RedisAddress) -> StoreFailure {
    switch self {
    case .passing(let text), .lasting(let text): .unavailable("\(address): \(text)")
    case .full(let text): .full("\(address): \(text)")
    }
  }

  init(_ failure: NetworkFailure) {
    switch failure {
    case .badAddress, .tls, .notAllowed, .badURL: self = .lasting(failure.message)
    default: self = .passing(failure.message)
    }
  }

  init(_ failure: RESPFailure) { self = .lasting(failure.hint.map { "\(failure.message) (\($0))" } ?? failure.message) }

  /// By the codes of redis.io; what an unknown one means is said by its own text.
  init(_ error: RESPError, _ secrets: Secrets) {
    let text = secrets.redact(String(error.message.prefix(Self.quoteLimit)))
    switch error.code {
    case "LOADING": self = .passing("it is loading its data")
    case "READONLY": self = .passing("it is a read-only replica, and streams are written at its master")
    case "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN", "BUSY", "NOREPLICAS", "UNBLOCKED", "UNKILLABLE": self = .passing(text)
    case "OOM": self = .full("it has reached its maxmemory: delete streams that ended, or raise it")
    case "WRONGPASS": self = .lasting("it refuses the user and password of the URL")
    case "NOAUTH": self = .lasting("it wants a password: redis://user:password@host")
    case "NOPERM": self = .lasting("the user of the URL may not do this: \(text)")
    case "DENIED":
      self = .lasting("it is in protected mode, and takes no connections from elsewhere without a password")
    case "MOVED", "ASK", "CROSSSLOT":
      self = .lasting(
        "it is a node of a cluster, and the streams belong to another one: connect there, with a prefix such as {weir}:"
      )
    case "WRONGTYPE": self = .lasting("a key of the store holds something else (\(text)): choose another prefix")
    case "MISCONF": self = .lasting("it cannot save to its disk, and takes no writes: \(text)")
    case "ERR" where error.message.contains(text: "max number of clients"):
      self = .passing("it has no room for more clients")
    case "ERR" where error.message.contains(text: "invalid password"),
      "ERR" where error.message.contains(text: "AUTH"):
      self = .lasting("it refuses the password of the URL: \(text)")
    case "ERR" where error.message.contains(text: "DB index"): self = .lasting("it has no database of that number")
    default: self = .lasting("it says: \(text)")
    }
  }

  /// Of an error's text, characters.
  private static let quoteLimit = 300
}
