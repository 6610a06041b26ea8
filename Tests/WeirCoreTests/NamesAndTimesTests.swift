import Testing
import WeirCore

/// Durations as text, the nearest name, and the hash that names are made of.
struct NamesAndTimesTests {
  @Test func durationsAreReadAndWritten() {
    let rows: [(String, Duration?, String)] = [
      ("30s", .seconds(30), "30s"), ("5m", .seconds(300), "5m0s"), ("1m30s", .seconds(90), "1m30s"),
      ("500ms", .milliseconds(500), "500ms"), ("1.5s", .milliseconds(1_500), "1.5s"), ("2h", .seconds(7_200), "2h0m0s"),
      ("0", .zero, "0s"), ("90s", .seconds(90), "1m30s"), ("250us", .microseconds(250), "250us"),
      ("7ns", .nanoseconds(7), "7ns"), ("1s50ms", .milliseconds(1_050), "1.05s"),
      ("", nil, ""), ("5", nil, ""), ("s", nil, ""), ("1s1m", nil, ""), ("1s1s", nil, ""), ("-1s", nil, ""),
      ("1 s", nil, ""), (".s", nil, ""), ("1.s", nil, ""), ("1e9s", nil, ""), ("1d", .seconds(86_400), "24h0m0s"),
      ("1y2", nil, ""), ("999999999h", nil, ""),
    ]
    for (text, duration, written) in rows {
      #expect(Duration(text: text) == duration, "\(text)")
      if let duration { #expect(duration.text == written) }
    }
    #expect(Duration(text: Duration.textLimit.text) == Duration.textLimit)
  }

  @Test func nearestNames() {
    let known = ["endpoint", "name", "timeouts", "auth"]
    for (given, nearest) in [
      ("endpont", "endpoint"), ("endopint", "endpoint"), ("Endpoint", "endpoint"), ("timeout", "timeouts"),
      ("nmae", "name"), ("zebra", nil), ("", nil), (String(repeating: "a", count: 100_000), nil),
    ] as [(String, String?)] {
      #expect(Spelling.nearest(to: given, among: known) == nearest, "\(given.prefix(20))")
    }
  }

  /// FIPS 180-4's own examples, and the lengths around a block's end.
  @Test func hashes() {
    #expect(SHA256.hex([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(SHA256.hex(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(
      SHA256.hex(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8))
        == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    #expect(
      SHA256.hex([UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000))
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    #expect(Set((54...66).map { SHA256.hex([UInt8](repeating: 0, count: $0)) }).count == 13)
  }
}

@Suite struct SHA1Tests {
  /// FIPS 180-4's examples, and the padding's edges.
  @Test(arguments: [
    ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"), ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
  ]) func vectors(_ message: String, _ digest: String) {
    let hex = SHA1.hash(Array(message.utf8)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    #expect(hex == digest)
  }
}
