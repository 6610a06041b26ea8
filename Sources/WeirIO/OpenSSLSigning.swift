import COpenSSL
import WeirCore

/// Ed25519 by OpenSSL, which is loaded at the first use.
final class OpenSSLSigning: Signing {
  func publicKey(seed: [UInt8]) throws(NetworkFailure) -> [UInt8] {
    let library = try TLSLibrary.shared.get()
    let key = try Self.key(seed, library)
    defer { library.functions.EVP_PKEY_free(key) }
    return try Self.bytes(32, library) { library.functions.EVP_PKEY_get_raw_public_key(key, $0, $1) }
  }

  func signature(of message: [UInt8], seed: [UInt8]) throws(NetworkFailure) -> [UInt8] {
    let library = try TLSLibrary.shared.get()
    let openssl = library.functions
    let key = try Self.key(seed, library)
    defer { openssl.EVP_PKEY_free(key) }
    guard let context = openssl.EVP_MD_CTX_new() else { throw .tls("no memory for a signature") }
    defer { openssl.EVP_MD_CTX_free(context) }
    guard openssl.EVP_DigestSignInit(context, nil, nil, nil, key) == 1 else {
      throw .tls(library.takeError() ?? "Ed25519 is not there")
    }
    return try Self.bytes(64, library) { openssl.EVP_DigestSign(context, $0, $1, message, message.count) }
  }

  private static func key(_ seed: [UInt8], _ library: TLSLibrary) throws(NetworkFailure) -> OpaquePointer {
    guard let key = library.functions.EVP_PKEY_new_raw_private_key(Int32(WEIR_ED25519), nil, seed, seed.count) else {
      throw .tls(library.takeError() ?? "this is no key of Ed25519")
    }
    return key
  }

  /// What a function of OpenSSL writes: just so many bytes.
  private static func bytes(
    _ count: Int, _ library: TLSLibrary, _ fill: (UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<Int>) -> Int32
  ) throws(NetworkFailure) -> [UInt8] {
    var length = count
    var isFilled = false
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
      isFilled = fill(buffer.baseAddress, &length) == 1 && length == count
      used = isFilled ? count : 0
    }
    guard isFilled else { throw .tls(library.takeError() ?? "OpenSSL gave no signature") }
    return bytes
  }
}
