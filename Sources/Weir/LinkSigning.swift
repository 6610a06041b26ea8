import WeirCore
import WeirIO
import WeirServe
import WeirStore

/// The secret that links to one stream are signed with: `WEIR_LINK_SECRET`, else the one kept in a store's folder.
/// For the command line; each question runs a loop of its own until it is answered.
package enum LinkSigning {
  package static let variable = "WEIR_LINK_SECRET"

  package struct NoSecret: Failure {
    package var code: String { "NoLinkSecret" }
    package var message: String
    package var hint: String?
    package init(message: String, hint: String?) {
      self.message = message
      self.hint = hint
    }
  }

  /// The secret of a store. `mayMake`: one is made where there is none, with the folder; else the answer is nil then.
  package static func secret(in store: StoreOptions, mayMake: Bool) throws -> [UInt8]? {
    guard case .folder(let path) = store.choice else { return nil }
    guard mayMake || HostProcess.isFile(path + "/" + LinkSecret.fileName) else { return nil }
    let loop = WeirIO.EventLoop()
    let world = RealWorld.make(loop: loop)
    var result: Result<[UInt8], DiskFailure>?
    func answered(_ secret: Result<[UInt8], DiskFailure>) {
      result = secret
      loop.soon { loop.stop() }
    }
    loop.soon {
      store.makeFolder(world.disk) { failure in
        if let failure { return answered(.failure(failure)) }
        LinkSecret.open(directory: path, disk: world.disk, random: world.random, answered)
      }
    }
    loop.run()
    return try result?.get()
  }

  /// The address below a server for whoever may use one stream and nothing else, until then.
  package static func link(
    _ name: String, rights: String, for time: Duration, secret: [UInt8]
  ) throws -> String {
    guard let rights = StreamLink.Rights(rights) else {
      throw NoSecret(
        message: "\"\(rights)\" are no rights", hint: "r reads, w writes, d deletes, in this order: r, rw, rwd")
    }
    let stream = try StreamName(name)
    let loop = WeirIO.EventLoop()
    let expires = loop.wallClock / 1000 + time.milliseconds / 1000
    let path = stream.path.utf8.map(escaped).joined()
    return "/streams/\(path)?" + StreamLink(stream: stream, rights: rights, expires: expires).query(secret: secret)
  }

  /// A byte of a path: unreserved characters and slashes stay (RFC 3986, 2.3).
  private static func escaped(_ byte: UInt8) -> String {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "~"), UInt8(ascii: "/"):
      return String(UnicodeScalar(byte))
    default:
      let digits = String(byte, radix: 16, uppercase: true)
      return "%" + (digits.utf8.count == 1 ? "0" : "") + digits
    }
  }
}
