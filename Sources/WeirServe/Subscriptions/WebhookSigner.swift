import WeirCore

/// What a server's subscriptions are signed with, kept beside its streams. Each is replaced without the others.
package struct SubscriptionKeys: Sendable {
  /// 32 bytes: the Ed25519 key that webhooks are signed with.
  package var webhooks: [UInt8]
  /// The one before, still shown to whoever checks what was signed with it.
  package var oldWebhooks: [UInt8]?
  /// The tokens of workers.
  package var tokens: [UInt8]
  package init(webhooks: [UInt8], oldWebhooks: [UInt8]? = nil, tokens: [UInt8]) {
    self.webhooks = webhooks
    self.oldWebhooks = oldWebhooks
    self.tokens = tokens
  }
}

/// Signs what is sent to webhooks, with one Ed25519 key of this server, and shows its public half (Durable Streams Protocol,
/// 6.5 and 7.1).
struct WebhookSigner {
  /// RFC 7638's thumbprint of the key: the same as long as the key is.
  let keyID: String
  let keys: JSONValue
  private let seed: [UInt8]
  private let signing: any Signing

  init(_ keys: SubscriptionKeys, signing: any Signing) throws(NetworkFailure) {
    seed = keys.webhooks
    self.signing = signing
    var shown: [JSONValue] = []
    var first = ""
    for seed in [seed] + (keys.oldWebhooks.map { [$0] } ?? []) {
      let key = Self.base64URL(try signing.publicKey(seed: seed))
      let id = "ds_" + Self.base64URL(SHA256.hash(#"{"crv":"Ed25519","kty":"OKP","x":"\#(key)"}"#.utf8))
      if shown.isEmpty { first = id }
      shown.append([
        "kty": "OKP", "crv": "Ed25519", "kid": .string(id), "use": "sig", "alg": "EdDSA", "x": .string(key),
      ])
    }
    keyID = first
    self.keys = ["keys": .array(shown)]
  }

  /// The value of `Webhook-Signature`.
  func header(_ body: [UInt8], now: Int64) throws(NetworkFailure) -> String {
    let seconds = now / 1000
    let signature = try signing.signature(of: Array("\(seconds).".utf8) + body, seed: seed)
    return "t=\(seconds),kid=\(keyID),ed25519=\(Self.base64URL(signature))"
  }

  /// RFC 4648 5, without padding.
  static func base64URL(_ bytes: [UInt8]) -> String {
    String(
      decoding: Base64.encode(bytes).utf8.compactMap { digit -> UInt8? in
        switch digit {
        case UInt8(ascii: "+"): UInt8(ascii: "-")
        case UInt8(ascii: "/"): UInt8(ascii: "_")
        case UInt8(ascii: "="): nil
        default: digit
        }
      }, as: UTF8.self)
  }
}
