import CCurl
import Glibc
import WeirCore

/// libcurl, loaded when the first request asks for it.
///
/// `@unchecked Sendable` is true because the table is written once, inside `init`, before anybody has the object, and
/// libcurl's functions may be called from any thread (each handle from one at a time).
final class CurlLibrary: @unchecked Sendable {
  #if os(Linux)
    private static let names = ["libcurl.so.4", "libcurl-gnutls.so.4"]
    private static let remedy = "apt-get install libcurl4"
  #else
    private static let names = ["libcurl.4.dylib", "/opt/homebrew/opt/curl/lib/libcurl.4.dylib"]
    private static let remedy = "brew install curl"
  #endif

  /// The one copy of the process: libcurl's global start may be done once only.
  static let shared = load(names)

  let table: UnsafePointer<weir_curl>
  var functions: weir_curl { table.pointee }

  private init(_ table: UnsafePointer<weir_curl>) { self.table = table }

  static func load(_ names: [String]) -> Result<CurlLibrary, NetworkFailure> {
    for name in names {
      guard let library = dlopen(name, RTLD_NOW | RTLD_LOCAL) else { continue }
      let table = UnsafeMutablePointer<weir_curl>.allocate(capacity: 1)
      if let missing = weir_curl_load(library, table) {
        table.deallocate()
        return .failure(
          .unavailable("\(name) is too old: it has no \(String(cString: missing)) (7.62 or newer is needed)"))
      }
      guard table.pointee.global_init(Int(CURL_GLOBAL_ALL)) == CURLE_OK else {
        table.deallocate()
        return .failure(.unavailable("\(name) does not start"))
      }
      return .success(CurlLibrary(table))
    }
    return .failure(.unavailable("HTTP requests need libcurl, which was not found; install it with: \(remedy)"))
  }
}
