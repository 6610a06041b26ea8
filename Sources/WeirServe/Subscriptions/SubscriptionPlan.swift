import WeirCore
import WeirStore

/// What a subscription was asked to be (Durable Streams Protocol, 6.2): read strictly from JSON, and written to be kept. Pure.
struct SubscriptionPlan: Equatable, Sendable {
  enum Delivery: Equatable, Sendable {
    case webhook(String)
    case pullWake(StreamName)
  }

  var delivery: Delivery
  var pattern: PathPattern?
  /// Sorted, each once: as asked for at first. Which are linked now is the subscription's to know.
  var streams: [StreamName]
  /// Milliseconds.
  var lease: Int
  var description: String?

  /// Where a pull-wake is told.
  var wakeStream: StreamName? { if case .pullWake(let stream) = delivery { stream } else { nil } }

  static let leaseRange = 1_000...600_000
  static let usualLease = 30_000
  static let streamsLimit = 1_000
  static let descriptionLimit = 1_024

  init(_ json: JSONValue) throws(SubscriptionFailure) {
    guard json.members != nil else { throw .badRequest("the body is no JSON object") }
    func text(_ value: JSONValue?, _ name: String) throws(SubscriptionFailure) -> String? {
      switch value {
      case nil, .null?: return nil
      case .string(let text)?: return text
      default: throw .badRequest("\"\(name)\" is no string")
      }
    }
    pattern = nil
    if let written = try text(json["pattern"], "pattern") {
      guard let read = PathPattern(written) else {
        throw .badRequest(
          "\"pattern\" is no path: * stands for one part of it and ** for any number, each alone between slashes")
      }
      pattern = read
    }
    switch json["streams"] {
    case nil, .null?: streams = []
    case .some(let list): streams = try Self.names(list)
    }
    guard pattern != nil || !streams.isEmpty else { throw .badRequest("\"pattern\" or \"streams\" is missing") }
    switch try text(json["type"], "type") {
    case "webhook":
      guard let url = try text(json["webhook"]?["url"], "webhook.url") else {
        throw .badRequest("\"webhook.url\" is missing")
      }
      delivery = .webhook(url)
    case "pull-wake":
      guard let path = try text(json["wake_stream"], "wake_stream") else {
        throw .badRequest("\"wake_stream\" is missing")
      }
      let wake = try Self.name(path)
      // Telling of work would be work.
      guard !streams.contains(wake), pattern?.matches(wake.path) != true else {
        throw .badRequest("the wake stream is one of those that are subscribed to")
      }
      delivery = .pullWake(wake)
    default: throw .badRequest("\"type\" is webhook or pull-wake")
    }
    switch json["lease_ttl_ms"] {
    case nil, .null?: lease = Self.usualLease
    case .int(let number)? where Self.leaseRange.contains(number): lease = number
    default: throw .badRequest("\"lease_ttl_ms\" is a whole number from 1000 to 600000")
    }
    description = try text(json["description"], "description")
    guard (description?.utf8.count ?? 0) <= Self.descriptionLimit else {
      throw .badRequest("\"description\" has more than \(Self.descriptionLimit) bytes")
    }
  }

  /// The names in a list of them.
  static func names(_ json: JSONValue) throws(SubscriptionFailure) -> [StreamName] {
    guard let list = json.array, list.count <= streamsLimit else {
      throw .badRequest("\"streams\" is no list of at most \(streamsLimit) paths")
    }
    var names: Set<StreamName> = []
    for item in list {
      guard let text = item.string else { throw .badRequest("\"streams\" has something that is no string") }
      names.insert(try name(text))
    }
    return names.sorted()
  }

  /// A path below the root of streams, with or without a slash before it.
  static func name(_ text: String) throws(SubscriptionFailure) -> StreamName {
    let path = text.hasPrefix("/") ? String(text.dropFirst()) : text
    do {
      let name = try StreamName(path)
      guard !name.isInternal, name.path != "__ds", !name.path.hasPrefix("__ds/") else {
        throw StoreFailure.notFound(name)
      }
      return name
    } catch let failure as StoreFailure {
      throw .badRequest(failure.message)
    } catch {
      throw .badRequest("\"\(path.prefix(60))\" is no name of a stream")
    }
  }

  /// What is kept of it, and what two that are alike have in common.
  var json: JSONValue {
    var members = [JSONMember]()
    switch delivery {
    case .webhook(let url): members += [JSONMember("type", "webhook"), JSONMember("webhook", ["url": .string(url)])]
    case .pullWake(let stream):
      members += [JSONMember("type", "pull-wake"), JSONMember("wake_stream", .string(stream.path))]
    }
    if let pattern { members.append(JSONMember("pattern", .string(pattern.text))) }
    if !streams.isEmpty { members.append(JSONMember("streams", .array(streams.map { .string($0.path) }))) }
    members.append(JSONMember("lease_ttl_ms", .int(lease)))
    if let description { members.append(JSONMember("description", .string(description))) }
    return .object(members)
  }

  var fingerprint: String { SHA256.hex(json.encoded()) }
}
