import Testing
import WeirCore
import WeirStore
import WeirTesting
import WeirWire

@testable import WeirRedis

@Suite struct RedisAddressTests {
  private func show(_ url: String) -> String {
    do throws(StoreFailure) {
      let a = try RedisAddress(url)
      return "\(a) user \(a.user ?? "-") password \(a.password?.value ?? "-") prefix \(a.prefix)"
    } catch { return error.message.replacing(text: "the store's URL is not usable: ", with: "! ") }
  }

  @Test func urlsAreRead() {
    let cases: [(url: String, shown: String)] = [
      ("redis://localhost", "redis://localhost:6379/0 user - password - prefix weir:"),
      ("rediss://Redis.Example.org:6380/2", "rediss://redis.example.org:6380/2 user - password - prefix weir:"),
      ("redis://[::1]:7000/", "redis://[::1]:7000/0 user - password - prefix weir:"),
      ("redis://:p%40ss@h", "redis://h:6379/0 user - password p@ss prefix weir:"),
      ("redis://me:a:b@h/1?prefix={w}:", "redis://h:6379/1 user me password a:b prefix {w}:"),
      ("redis://me:a@b@h", "redis://h:6379/0 user me password a@b prefix weir:"),
      ("redis://h?prefix=app%3A", "redis://h:6379/0 user - password - prefix app:"),
      ("localhost:6379", "! it starts with redis:// or rediss://"),
      ("http://h", "! it starts with http:// where redis, rediss are known"),
      ("redis://", "! it names no host"),
      ("redis://me@h", "! a user without a password; a password alone is written redis://:password@host"),
      ("redis://:se/cret@h", "! what is / ? # or @ in a user or password is written %2F %3F %23 %40"),
      ("redis://:s%zz@h", "! a % in its user or password begins no escape: it is written %25"),
      ("redis://h/one", "! \"/one\" is not the number of a database, such as /0"),
      ("redis://h/-1", "! \"/-1\" is not the number of a database, such as /0"),
      ("redis://h?db=1", "! \"db\" is no setting of it; prefix is"),
      ("redis://h?prefix=", "! its prefix has 1 to 128 bytes, without spaces and control characters"),
      ("redis://h:99999", "! \":99999\" is not a port"),
    ]
    for (url, shown) in cases { #expect(show(url) == shown, "\(url)") }
  }

  @Test func delaysGrowAndStayBetweenTheirLimits() {
    let random = SeededRandom(seed: 1)
    for failures in 0..<40 {
      let longest = min(Duration.seconds(5), .milliseconds(50) * (1 << min(failures, 10)))
      for _ in 0..<100 {
        let delay = RedisLink.delay(after: failures, limit: .seconds(5), random.next())
        #expect(delay >= longest / 2 && delay <= longest, "\(failures): \(delay)")
      }
    }
  }

  /// Which errors are worth another connection, and which are not.
  @Test func errorsAreToldApart() {
    let secrets = Secrets(["s3cret-word"])
    func kind(_ message: String) -> String {
      switch RedisTrouble(RESPError(message), secrets) {
      case .passing: "passing"
      case .lasting: "lasting"
      case .full: "full"
      }
    }
    for code in ["LOADING", "READONLY", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN", "BUSY", "NOREPLICAS"] {
      #expect(kind("\(code) whatever") == "passing", "\(code)")
    }
    #expect(kind("ERR max number of clients reached") == "passing")
    #expect(kind("OOM command not allowed when used memory > 'maxmemory'.") == "full")
    for code in ["WRONGPASS", "NOAUTH", "NOPERM", "DENIED", "MOVED", "CROSSSLOT", "WRONGTYPE", "MISCONF", "ERR", "XYZ"]
    {
      #expect(kind("\(code) whatever") == "lasting", "\(code)")
    }
    #expect(RedisTrouble(RESPError("ERR no s3cret-word here"), secrets).text == "it says: ERR no [redacted] here")
    #expect(RedisTrouble(RESPError("ERR " + String(repeating: "x", count: 9999)), secrets).text.count < 400)
  }
}
