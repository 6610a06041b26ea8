import WeirCore
import WeirStore

/// What is wrong with a request about a subscription, by the protocol's own codes (Durable Streams Protocol, 6 and 7).
enum SubscriptionFailure: Failure, Equatable {
  case badRequest(String)
  case badAddress(String)
  case notFound(String)
  case exists(String)
  case tooMany(limit: Int)
  case badToken
  case oldToken
  case fenced
  case claimed(by: String, generation: UInt64)
  case nothingToDo
  case badAcknowledgement(String)
  case store(StoreFailure)
  /// The server is on its way down.
  static var stopped: SubscriptionFailure { .store(.unavailable("the server is on its way down")) }

  var code: String {
    switch self {
    case .badRequest: "INVALID_REQUEST"
    case .badAddress: "WEBHOOK_URL_REJECTED"
    case .notFound: "SUBSCRIPTION_NOT_FOUND"
    case .exists: "SUBSCRIPTION_ALREADY_EXISTS"
    case .tooMany: "TOO_MANY_SUBSCRIPTIONS"
    case .badToken: "TOKEN_INVALID"
    case .oldToken: "TOKEN_EXPIRED"
    case .fenced: "FENCED"
    case .claimed: "ALREADY_CLAIMED"
    case .nothingToDo: "NO_PENDING_WORK"
    case .badAcknowledgement: "INVALID_OFFSET"
    case .store(let failure): failure.code
    }
  }

  var status: Int {
    switch self {
    case .badRequest, .badAddress: 400
    case .badToken, .oldToken: 401
    case .notFound: 404
    case .exists, .fenced, .claimed, .nothingToDo, .badAcknowledgement: 409
    case .tooMany: 507
    case .store(let failure): ServeFailure.store(failure).status
    }
  }

  var message: String {
    switch self {
    case .badRequest(let why): why
    case .badAddress(let why): "this address gets no webhooks: \(why)"
    case .notFound(let id): "no subscription \"\(id)\""
    case .exists(let id): "the subscription \"\(id)\" has another configuration"
    case .tooMany(let limit): "there are \(limit) of them, which is the limit"
    case .badToken: "this is no token of this subscription"
    case .oldToken: "this token is over"
    case .fenced: "this wake is over"
    case .claimed(let worker, _): "\"\(worker)\" is at it"
    case .nothingToDo: "everything is acknowledged"
    case .badAcknowledgement(let why): why
    case .store(let failure): failure.message
    }
  }

  var hint: String? {
    switch self {
    case .badRequest, .badAcknowledgement: "docs/subscriptions.md has the members"
    case .badAddress: "https to a public address; to this machine only with --local-webhooks"
    case .exists: "delete it, or take another id"
    case .badToken: "send Authorization: Bearer with the token of the wake or the claim"
    case .oldToken, .fenced: "the work was given to somebody else, or is done: wait for the next wake"
    case .store(let failure): failure.hint
    case .notFound, .tooMany, .claimed, .nothingToDo: nil
    }
  }

  var json: JSONValue {
    guard case .object(var members) = body else { return body }
    if case .claimed(let worker, let generation) = self {
      members += [JSONMember("current_holder", .string(worker)), JSONMember("generation", .int(Int(generation)))]
    }
    return ["error": .object(members)]
  }
}
