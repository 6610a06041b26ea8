import WeirCore

/// Signs what is sent to webhooks, with one Ed25519 key of this server, and shows its public half (Durable Streams Protocol,
/// 6.5 and 7.1).
struct WebhookSigner {
  /// RFC 7638's thumbprint of the key: the same as long as the key is.
  let keyID: String
  private let publicKey: String
  private let seed: [UInt8]
  private let signing: any Signing

  init(seed: [UInt8], signing: any Signing) throws(NetworkFailure) {
    self.seed = seed
    self.signing = signing
    publicKey = Self.base64URL(try signing.publicKey(seed: seed))
    keyID = "ds_" + Self.base64URL(SHA256.hash(#"{"crv":"Ed25519","kty":"OKP","x":"\#(publicKey)"}"#.utf8))
  }

  /// The value of `Webhook-Signature`.
  func header(_ body: [UInt8], now: Int64) throws(NetworkFailure) -> String {
    let seconds = now / 1000
    let signature = try signing.signature(of: Array("\(seconds).".utf8) + body, seed: seed)
    return "t=\(seconds),kid=\(keyID),ed25519=\(Self.base64URL(signature))"
  }

  var keys: JSONValue {
    [
      "keys": [
        ["kty": "OKP", "crv": "Ed25519", "kid": .string(keyID), "use": "sig", "alg": "EdDSA", "x": .string(publicKey)]
      ]
    ]
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
