import WeirCore
import WeirNet
import WeirStore
import WeirWire

/// What is below `__ds/` of a root of streams (Durable Streams Protocol, 6 and 7):
///
///     GET                jwks.json                          the key that webhooks are signed with, for everybody
///     PUT GET DELETE     subscriptions/<id>                 for whoever may write streams
///     POST DELETE        subscriptions/<id>/streams[/path]
///     POST               subscriptions/<id>/claim
///     POST               subscriptions/<id>/callback, ack, release      for whoever has the token of the wake
extension ServeApplication {
  static let reserved = "__ds"
  private static let idLimit = 100

  /// `text` is the path below the root of streams and begins with `__ds`.
  func serveSubscriptions(
    _ text: String, _ query: QueryString?, _ subscriptions: Subscriptions, _ exchange: StreamExchange
  ) throws(ServeFailure) {
    let request = exchange.request
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
    if parts == ["jwks.json"] {
      try allow(["GET", "HEAD"], request)
      let headers = [
        (name: "Content-Type", value: "application/jwk-set+json"), ("Cache-Control", "public, max-age=300"),
      ]
      return exchange.send(200, headers, subscriptions.signer.keys.encoded())
    }
    guard parts.count >= 2, parts[0] == "subscriptions", Self.isID(parts[1]) else {
      throw .notFound(path: request.path)
    }
    let id = parts[1]
    let verb = parts.count > 2 ? parts[2] : nil
    let isWorkers = parts.count == 3 && ["callback", "ack", "release"].contains(verb)
    if !isWorkers {
      let caller = try access.caller(request, query, nil, now: loop.wallClock)
      guard caller.rights.contains(.write) else { throw .notFound(path: request.path) }
      if request.method != "GET", request.method != "HEAD" { try access.checkOrigin(request) }
    }
    let reply = SubscriptionReply(subscriptions, exchange)
    switch (verb, parts.count) {
    case (nil, 2):
      try allow(["GET", "HEAD", "PUT", "DELETE"], request)
      switch request.method {
      case "PUT":
        let root = exchange.path.dropLast(text.utf8.count + 1)
        guard let host = request["Host"], !host.isEmpty else { throw .badHeader("Host is missing") }
        reply.create(id, base: "\(configuration.isSecure ? "https" : "http")://\(host)\(escapedPath(String(root)))")
      case "DELETE": reply.delete(id)
      default: reply.show(id)
      }
    case ("streams", 3):
      try allow(["POST"], request)
      reply.addStreams(id)
    case ("streams", 4...):
      try allow(["DELETE"], request)
      reply.removeStream(id, parts[3...].joined(separator: "/"))
    case ("claim", 3):
      try allow(["POST"], request)
      reply.claim(id)
    case ("callback", 3), ("ack", 3):
      try allow(["POST"], request)
      reply.report(id, isCallback: verb == "callback")
    case ("release", 3):
      try allow(["POST"], request)
      reply.release(id)
    default: throw .notFound(path: request.path)
    }
  }

  private static func isID(_ text: String) -> Bool {
    (1...idLimit).contains(text.utf8.count) && text != "." && text != ".."
      && text.utf8.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: true
        default: false
        }
      }
  }
}

/// One request about a subscription, and the answer owed to it.
private struct SubscriptionReply {
  private let subscriptions: Subscriptions
  private let exchange: StreamExchange
  private let client = WaitingClient()

  init(_ subscriptions: Subscriptions, _ exchange: StreamExchange) {
    self.subscriptions = subscriptions
    self.exchange = exchange
    exchange.responder.observer = client
  }

  private func send(_ status: Int, _ body: JSONValue) {
    if client.isGone { return }
    exchange.send(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")], body.encoded())
  }

  private func send(_ failure: SubscriptionFailure) { send(failure.status, failure.json) }

  private func sendNothing() { if !client.isGone { exchange.send(204) } }

  private func sendNothing(_ failure: SubscriptionFailure?) {
    if let failure { send(failure) } else { sendNothing() }
  }

  private func body() throws(SubscriptionFailure) -> JSONValue {
    do { return try JSONValue.parse(exchange.request.body) } catch {
      throw .badRequest("the body is no JSON: \(error.message)")
    }
  }

  /// Finds it and goes on, or says why not.
  private func with(_ id: String, _ then: @escaping (Subscriptions.Entry) throws(SubscriptionFailure) -> Void) {
    subscriptions.find(id) { result in
      do throws(SubscriptionFailure) { try then(try result.get()) } catch { send(error) }
    }
  }

  func create(_ id: String, base: String) {
    do throws(SubscriptionFailure) {
      let plan = try SubscriptionPlan(try body())
      try subscriptions.checkPattern(plan)
      switch plan.delivery {
      case .webhook(let url): try subscriptions.checkAddress(url)
      case .pullWake(let stream):
        guard !exchange.application.isWrittenByOwner(stream) else {
          throw .badRequest("\"\(stream.path)\" is written by its owner alone")
        }
      }
      subscriptions.create(id, plan, base: base) { result in
        switch result {
        case .success(let (entry, isNew)): send(isNew ? 201 : 200, json(of: entry.subscription))
        case .failure(let failure): send(failure)
        }
      }
    } catch {
      send(error)
    }
  }

  func show(_ id: String) { with(id) { entry in send(200, json(of: entry.subscription)) } }

  func delete(_ id: String) { subscriptions.delete(id, sendNothing) }

  func addStreams(_ id: String) {
    with(id) { entry throws(SubscriptionFailure) in
      let names = try SubscriptionPlan.names(try body()["streams"] ?? .null)
      if case .pullWake(let wake) = entry.subscription.plan.delivery, names.contains(wake) {
        throw .badRequest("the wake stream is one of those that are subscribed to")
      }
      subscriptions.add(names, to: entry, sendNothing)
    }
  }

  func removeStream(_ id: String, _ path: String) {
    with(id) { entry throws(SubscriptionFailure) in
      entry.subscription.remove(try SubscriptionPlan.name(path))
      subscriptions.keep(entry, sendNothing)
    }
  }

  func claim(_ id: String) {
    with(id) { entry throws(SubscriptionFailure) in
      guard let worker = try body()["worker"]?.string, (1...256).contains(worker.utf8.count) else {
        throw .badRequest("\"worker\" is a text of 1 to 256 bytes")
      }
      subscriptions.claim(entry, by: worker) { result in
        switch result {
        case .success(let told): send(200, told)
        case .failure(let failure): send(failure)
        }
      }
    }
  }

  func report(_ id: String, isCallback: Bool) {
    withToken(id) { entry, token throws(SubscriptionFailure) in
      guard entry.subscription.isWebhook == isCallback else {
        throw .badRequest(isCallback ? "it is acknowledged at ack" : "it is acknowledged at callback")
      }
      subscriptions.report(entry, try report(token)) { result in
        switch result {
        case .success(let isWokenAgain): send(200, ["ok": true, "next_wake": .bool(isWokenAgain)])
        case .failure(let failure): send(failure)
        }
      }
    }
  }

  func release(_ id: String) {
    withToken(id) { entry, token throws(SubscriptionFailure) in
      guard !entry.subscription.isWebhook else { throw .badRequest("a webhook's work is not claimed") }
      subscriptions.release(entry, try report(token), sendNothing)
    }
  }

  /// Before anything else is looked at: whoever has no token learns nothing, not even what subscriptions there are.
  private func withToken(
    _ id: String, _ then: @escaping (Subscriptions.Entry, WakeToken) throws(SubscriptionFailure) -> Void
  ) {
    do throws(SubscriptionFailure) {
      let token = try subscriptions.readToken(BearerToken.read(exchange.request["Authorization"]), of: id)
      with(id) { entry throws(SubscriptionFailure) in try then(entry, token) }
    } catch {
      send(error)
    }
  }

  private func report(_ token: WakeToken) throws(SubscriptionFailure) -> Subscriptions.Report {
    var report = Subscriptions.Report(token: token)
    let body = try body()
    (report.wake, report.generation) = (body["wake_id"]?.string, body["generation"]?.int)
    report.isDone = body["done"] == .bool(true)
    let acks: [JSONValue]
    switch body["acks"] {
    case nil, .null?: acks = []
    case .array(let list)? where list.count <= Subscription.linksLimit: acks = list
    default: throw .badRequest("\"acks\" is no list of at most \(Subscription.linksLimit)")
    }
    for ack in acks {
      guard let path = ack["stream"]?.string, let offset = ack["offset"]?.string.flatMap({ Offset($0) }) else {
        throw .badRequest("each of \"acks\" has a \"stream\" and an \"offset\" that this server sent")
      }
      report.offsets.append((try SubscriptionPlan.name(path), offset))
    }
    return report
  }

  private func json(of subscription: Subscription) -> JSONValue {
    let plan = subscription.plan
    var webhook = JSONValue.null
    var wake = JSONValue.null
    switch plan.delivery {
    case .webhook(let url):
      webhook = [
        "url": .string(url),
        "signing": [
          "alg": "ed25519", "kid": .string(subscriptions.signer.keyID),
          "jwks_url": .string("\(subscription.base)/\(ServeApplication.reserved)/jwks.json"),
        ],
      ]
    case .pullWake(let stream): wake = .string(stream.path)
    }
    let links = subscription.links.sorted { $0.key < $1.key }.map { name, link -> JSONValue in
      [
        "path": .string(name.path), "link_type": link.isExplicit ? "explicit" : "glob",
        "acked_offset": .string(link.acked.description),
      ]
    }
    return [
      "id": .string(subscription.id), "subscription_id": .string(subscription.id),
      "type": subscription.isWebhook ? "webhook" : "pull-wake",
      "pattern": plan.pattern.map { .string($0.text) } ?? .null, "streams": .array(links), "webhook": webhook,
      "wake_stream": wake, "lease_ttl_ms": .int(plan.lease),
      "created_at": .string(Timestamp(milliseconds: subscription.createdAt).description),
      "status": subscription.failures > 0 ? "failed" : "active",
      "description": plan.description.map { .string($0) } ?? .null,
    ]
  }
}
