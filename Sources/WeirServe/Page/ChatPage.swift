import WeirCore

/// The chat page: one HTML file, embedded in the binary, and the headers that keep it from being anything else.
///
/// Its script and style are allowed by their hash and nothing else is: no inline handler, no other host, no frame.
/// The file's text is edited as it is (`chat.html`); what is written into it is the list of backends, as an attribute.
enum ChatPage {
  /// `backends` are names to show, each served below `/b/<n>`; empty: the page's own server.
  static func reply(backends: [String]) -> Reply {
    let list = JSONValue.array(backends.map { .string($0) }).text
    let body = Array(markup.replacing(text: "@BACKENDS@", with: escaped(list)).utf8)
    return Reply(
      status: 200,
      headers: [
        ("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", policy),
        ("Cache-Control", "no-cache"), ("Referrer-Policy", "no-referrer"), ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
      ], body: body)
  }

  private static let markup = String(decoding: PackageResources.chat_html, as: UTF8.self)

  private static let policy = """
    default-src 'none'; script-src '\(hash(of: "script"))'; style-src '\(hash(of: "style"))'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'
    """

  /// CSP level 3, section 2.3.1: the hash is over the element's text.
  private static func hash(of element: String) -> String {
    guard let open = markup.range(ofText: "<\(element)>"), let close = markup.range(ofText: "</\(element)>") else {
      return "none"
    }
    let text = markup.utf8[open.upperBound..<close.lowerBound]
    return "sha256-\(base64(SHA256.hash(Array(text))))"
  }

  private static func base64(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var out: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      let bits = group.enumerated().reduce(UInt32(0)) { $0 | UInt32($1.element) << (16 - 8 * $1.offset) }
      for place in 0..<4 {
        out.append(place <= group.count ? alphabet[Int(bits >> (18 - 6 * place) & 63)] : UInt8(ascii: "="))
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  private static func escaped(_ text: String) -> String {
    text.replacing(text: "&", with: "&amp;").replacing(text: "\"", with: "&quot;").replacing(text: "<", with: "&lt;")
  }
}
