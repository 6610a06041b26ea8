/// HMAC with SHA-256 (RFC 2104): says that whoever made a text knew the secret.
package enum HMAC {
  private static let blockSize = 64

  package static func sha256(_ message: some Collection<UInt8>, key: [UInt8]) -> [UInt8] {
    var block = key.count > blockSize ? SHA256.hash(key) : key
    block += [UInt8](repeating: 0, count: blockSize - block.count)
    return SHA256.hash(block.map { $0 ^ 0x5C } + SHA256.hash(block.map { $0 ^ 0x36 } + Array(message)))
  }
}
