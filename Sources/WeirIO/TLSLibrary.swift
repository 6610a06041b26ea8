import COpenSSL
import Glibc
import WeirCore

/// OpenSSL 3, loaded when TLS is first used.
///
/// `@unchecked Sendable` is true because the table is written once, inside `init`, before anybody has the object, and
/// OpenSSL's functions may be called from any thread (each connection from one at a time).
final class TLSLibrary: @unchecked Sendable {
  #if os(Linux)
    private static let names = ["libssl.so.3"]
    private static let remedy = "apt-get install libssl3"
  #else
    private static let names = ["/opt/homebrew/opt/openssl@3/lib/libssl.3.dylib", "libssl.3.dylib"]
    private static let remedy = "brew install openssl@3"
  #endif

  static let shared = load(names)

  let table: UnsafePointer<weir_openssl>
  var functions: weir_openssl { table.pointee }

  private init(_ table: UnsafePointer<weir_openssl>) { self.table = table }

  static func load(_ names: [String]) -> Result<TLSLibrary, NetworkFailure> {
    for name in names {
      guard let library = dlopen(name, RTLD_NOW | RTLD_LOCAL) else { continue }
      let table = UnsafeMutablePointer<weir_openssl>.allocate(capacity: 1)
      if let missing = weir_openssl_load(library, table) {
        table.deallocate()
        return .failure(.unavailable("\(name) has no \(String(cString: missing)): OpenSSL 3 is needed"))
      }
      return .success(TLSLibrary(table))
    }
    return .failure(.unavailable("TLS needs OpenSSL 3, which was not found; install it with: \(remedy)"))
  }

  /// The oldest error that OpenSSL has noted on this thread, in its words; the others are dropped.
  func takeError() -> String? {
    let code = functions.ERR_get_error()
    functions.ERR_clear_error()
    return functions.ERR_reason_error_string(code).map { String(cString: $0) }
  }
}

/// What connections of one role share: certificates, trust, protocol versions.
final class TLSContext {
  let library: TLSLibrary
  let isServer: Bool
  let pointer: OpaquePointer

  private init(_ library: TLSLibrary, isServer: Bool) throws(NetworkFailure) {
    let openssl = library.functions
    guard let made = openssl.SSL_CTX_new(isServer ? openssl.TLS_server_method() : openssl.TLS_client_method()) else {
      throw .tls(library.takeError() ?? "no memory for a context")
    }
    self.library = library
    self.isServer = isServer
    pointer = made
    weir_ssl_configure(library.table, made)
  }

  deinit { library.functions.SSL_CTX_free(pointer) }

  static func server(_ files: ServerTLS) throws(NetworkFailure) -> TLSContext {
    let library = try TLSLibrary.shared.get()
    let context = try TLSContext(library, isServer: true)
    let openssl = library.functions
    openssl.ERR_clear_error()
    // Otherwise OpenSSL asks the terminal for the passphrase of an encrypted key and waits.
    openssl.SSL_CTX_set_default_passwd_cb(context.pointer) { _, _, _, _ in 0 }
    try mustBeReadable(files.certificateFile, "certificate file")
    try mustBeReadable(files.keyFile, "key file")
    guard openssl.SSL_CTX_use_certificate_chain_file(context.pointer, files.certificateFile) == 1 else {
      throw .tls("\(files.certificateFile) holds no PEM certificate: \(library.takeError() ?? "unreadable")")
    }
    guard openssl.SSL_CTX_use_PrivateKey_file(context.pointer, files.keyFile, Int32(WEIR_PEM)) == 1 else {
      let why = library.takeError() ?? "unreadable"
      throw why.contains(text: "mismatch")
        ? .tls("the key in \(files.keyFile) does not belong to the certificate in \(files.certificateFile)")
        : .tls("\(files.keyFile) holds no usable PEM key without a passphrase: \(why)")
    }
    guard openssl.SSL_CTX_check_private_key(context.pointer) == 1 else {
      throw .tls("the key in \(files.keyFile) does not belong to the certificate in \(files.certificateFile)")
    }
    openssl.SSL_CTX_set_alpn_select_cb(
      context.pointer,
      { _, chosen, length, offered, count, _ in
        guard let offered,
          let place = TLSContext.ourProtocol(in: UnsafeBufferPointer(start: offered, count: Int(count)))
        else { return SSL_TLSEXT_ERR_NOACK }
        chosen?.pointee = offered + place
        length?.pointee = UInt8(TLSContext.protocolName.utf8.count)
        return SSL_TLSEXT_ERR_OK
      }, nil)
    return context
  }

  static func client(trustFile: String?) throws(NetworkFailure) -> TLSContext {
    let library = try TLSLibrary.shared.get()
    let context = try TLSContext(library, isServer: false)
    let openssl = library.functions
    openssl.ERR_clear_error()
    _ = openssl.SSL_CTX_set_default_verify_paths(context.pointer)
    if let trustFile {
      try mustBeReadable(trustFile, "trust file")
      guard openssl.SSL_CTX_load_verify_file(context.pointer, trustFile) == 1 else {
        throw .tls("\(trustFile) holds no PEM certificate: \(library.takeError() ?? "unreadable")")
      }
    }
    openssl.SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, nil)
    let list = [UInt8(protocolName.utf8.count)] + Array(protocolName.utf8)
    _ = openssl.SSL_CTX_set_alpn_protos(context.pointer, list, UInt32(list.count))
    return context
  }

  /// The one protocol that is spoken over our streams, as ALPN names it (RFC 7301).
  static let protocolName = "http/1.1"

  /// Where its name stands in a client's list of length-prefixed names.
  private static func ourProtocol(in list: UnsafeBufferPointer<UInt8>) -> Int? {
    var index = 0
    while index < list.count {
      let (start, end) = (index + 1, index + 1 + Int(list[index]))
      guard end <= list.count else { return nil }
      if list[start..<end].elementsEqual(protocolName.utf8) { return start }
      index = end
    }
    return nil
  }

  private static func mustBeReadable(_ path: String, _ what: String) throws(NetworkFailure) {
    if access(path, R_OK) != 0 { throw .tls("\(what) \(path): \(errorText(errno))") }
  }
}
