import Testing
import WeirCore
import WeirTesting

/// Addresses: which text is one, how it is written, which kind of place it is; both ends of every special block.
struct NetworkAddressTests {
  private static let kinds: [(NetworkAddress.Kind, String)] = [
    (.unspecified, "0.0.0.0 0.0.0.1 0.255.255.255 :: ::ffff:0.0.0.0 ::0.0.0.2 64:ff9b::0.0.0.0 2002:0:1::"),
    (.global, "1.0.0.0 9.255.255.255 8.8.8.8"),
    (.private, "10.0.0.0 10.255.255.255"),
    (.global, "11.0.0.0 100.63.255.255"),
    (.private, "100.64.0.0 100.127.255.255"),
    (.global, "100.128.0.0 126.255.255.255"),
    (.loopback, "127.0.0.0 127.0.0.1 127.1.2.3 127.255.255.255 ::1 ::ffff:127.0.0.1 ::ffff:7f00:1"),
    (.global, "128.0.0.0 169.253.255.255"),
    (.linkLocal, "169.254.0.0 169.254.169.254 169.254.255.255 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe"),
    (.linkLocal, "2002:a9fe:a9fe::1 ::169.254.169.254 fe80:: fe80::1 febf:ffff::"),
    (.global, "169.255.0.0 172.15.255.255"),
    (.private, "172.16.0.0 172.31.255.255"),
    (.global, "172.32.0.0 191.255.255.255"),
    (.reserved, "192.0.0.0 192.0.0.255"),
    (.global, "192.0.1.0"),
    (.reserved, "192.0.2.0 192.0.2.255"),
    (.global, "192.0.3.0 192.88.98.255"),
    (.reserved, "192.88.99.0 192.88.99.255"),
    (.global, "192.88.100.0 192.167.255.255"),
    (.private, "192.168.0.0 192.168.255.255"),
    (.global, "192.169.0.0 198.17.255.255"),
    (.reserved, "198.18.0.0 198.19.255.255"),
    (.global, "198.20.0.0 198.51.99.255"),
    (.reserved, "198.51.100.0 198.51.100.255"),
    (.global, "198.51.101.0 203.0.112.255"),
    (.reserved, "203.0.113.0 203.0.113.255"),
    (.global, "203.0.114.0 223.255.255.255"),
    (.multicast, "224.0.0.0 239.255.255.255 255.255.255.255 ff00:: ff02::1 ffff:ffff::"),
    (.reserved, "240.0.0.0 255.255.255.254"),
    // What another machine's translator would reach: its own loopback is not ours.
    (.private, "::127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: 64:ff9b::10.0.0.1 2002:c0a8:1:: ::ffff:10.0.0.1"),
    (.private, "64:ff9b:1:: 64:ff9b:1:ffff::8.8.8.8 fc00:: fd00::2 fdff:ffff:: fec0:: feff::"),
    (.global, "::ffff:8.8.8.8 ::8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1 2000:: 2001:200:: 2606:4700:4700::1111"),
    (.reserved, "2001:: 2001::1 2001:20::1 2001:1ff:ffff:: 2001:db8:: 2001:db8:ffff:: 3fff:: 3fff:fff:ffff::"),
    (.global, "2001:db7:ffff:: 2001:db9:: 3fff:1000:: 3ffe:ffff::"),
    (.reserved, "100::1 64:ff9a:: 1fff:ffff:: 4000:: 5f00::1 e000:: fe00:: fe7f:ffff:: ::1:0:0 ::ffff:0:7f00:1"),
  ]

  @Test(arguments: kinds) func kind(_ kind: NetworkAddress.Kind, _ texts: String) throws {
    for text in texts.split(separator: " ") {
      #expect(try #require(NetworkAddress(text), "\(text)").kind == kind, "\(text)")
    }
  }

  @Test func text() {
    let rows: [(String, String?)] = [
      ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("::", "::"),
      ("::1", "::1"), ("1::", "1::"), ("FD00::00Ab", "fd00::ab"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
      ("1:0:0:4:0:0:0:8", "1:0:0:4::8"), ("1:0:0:4:5:0:0:8", "1::4:5:0:0:8"), ("1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"),
      ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("::ffff:1.2.3.4", "1.2.3.4"), ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
      ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
      ("", nil), ("1", nil), ("127.1", nil), ("1.2.3", nil), ("1.2.3.4.5", nil), ("1.2.3.", nil), ("1..3.4", nil),
      ("01.2.3.4", nil), ("1.2.3.04", nil), ("00.0.0.0", nil), ("0x7f.0.0.1", nil), ("256.1.1.1", nil),
      ("1.2.3.-4", nil), ("+1.2.3.4", nil), (" 1.2.3.4", nil), ("1.2.3.4 ", nil), ("١.2.3.4", nil),
      (":", nil), (":::", nil), ("1:2", nil), (":1::", nil), ("1:", nil), ("1::2::3", nil), ("::12345", nil),
      ("1:2:3:4:5:6:7:8:9", nil), ("1:2:3:4:5:6:7::8", nil), ("::g", nil), ("::+1", nil), ("::-1", nil), ("[::1]", nil),
      ("::1%lo", nil), ("1.2.3.4::", nil), ("::1.2.3.4:5", nil), ("::1.2.3", nil), ("1:2:3:4:5:6:7:1.2.3.4", nil),
      ("2130706433", nil), ("localhost", nil), (String(repeating: "0:", count: 40) + ":1", nil),
    ]
    for (given, written) in rows { #expect(NetworkAddress(given)?.description == written, "\(given)") }
    #expect(NetworkAddress("::ffff:1.2.3.4")?.literal == "::ffff:102:304")
  }

  /// What is written is read again as the same.
  @Test(arguments: UInt64(1)...50) func everyAddressIsReadBack(seed: UInt64) {
    let random = SeededRandom(seed: seed)
    func word() -> UInt128 { UInt128(random.next()) << 64 | UInt128(random.next()) }
    let sparse = word() & word()
    for bits in [sparse, sparse & (UInt128.max << 64), sparse & 0xffff_ffff, sparse & (0xffff << 96)] {
      let address = NetworkAddress(v6: bits)
      #expect(NetworkAddress(address.literal) == address)
    }
    let v4 = NetworkAddress(v4: UInt32(truncatingIfNeeded: random.next()))
    #expect(NetworkAddress(v4.description) == v4)
  }
}
