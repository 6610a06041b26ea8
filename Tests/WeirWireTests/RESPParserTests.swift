import Testing
import WeirCore
import WeirTesting

@testable import WeirWire

/// What a server's bytes gave, one line for each value; a failure is the last line.
private func parse(_ pieces: [[UInt8]], limits: RESPParser.Limits = RESPParser.Limits()) -> [String] {
  var parser = RESPParser(limits: limits)
  var lines: [String] = []
  do throws(RESPFailure) {
    for piece in pieces {
      parser.receive(piece.span)
      while let value = try parser.next() { lines.append(show(value)) }
    }
    if !parser.isBetweenValues { lines.append("unfinished") }
  } catch { lines.append("\(error.code): \(error.message)") }
  return lines
}

private func show(_ value: RESPValue) -> String {
  func list(_ values: [RESPValue]) -> String { values.map(show).joined(separator: " ") }
  switch value {
  case .simple(let text): return "+\(text)"
  case .error(let error): return "-[\(error.code)] \(error.message)"
  case .integer(let number): return "\(number)"
  case .bulk(let bytes): return "'\(String(decoding: bytes, as: UTF8.self))'"
  case .null: return "null"
  case .array(let values): return "[\(list(values))]"
  case .boolean(let value): return "\(value)"
  case .double(let number): return "\(number)"
  case .bigNumber(let digits): return "(\(digits)"
  case .verbatim(let format, let bytes): return "\(format):'\(String(decoding: bytes, as: UTF8.self))'"
  case .map(let pairs): return "{\(pairs.map { "\(show($0.key))=\(show($0.value))" }.joined(separator: " "))}"
  case .set(let values): return "~[\(list(values))]"
  case .push(let values): return ">[\(list(values))]"
  }
}

private struct RESPCase: CustomTestStringConvertible, Sendable {
  var name: String
  /// `\` stands for CR LF.
  var input: String
  var lines: [String]
  var testDescription: String { name }
  var bytes: [UInt8] { Array(input.replacing(text: "\\", with: "\r\n").utf8) }
  init(_ name: String, _ input: String, _ lines: [String]) {
    (self.name, self.input, self.lines) = (name, input, lines)
  }
}

private let malformed = "BadRESP: this is not Redis' protocol: "

private let cases: [RESPCase] = [
  RESPCase("simple string", "+OK\\", ["+OK"]),
  RESPCase("empty simple string", "+\\", ["+"]),
  RESPCase("error", "-WRONGTYPE Operation against a key\\", ["-[WRONGTYPE] WRONGTYPE Operation against a key"]),
  RESPCase("error without a code", "-no such thing\\-\\", ["-[] no such thing", "-[] "]),
  RESPCase(
    "integers", ":0\\:-7\\:+12\\:9223372036854775807\\:-9223372036854775808\\",
    ["0", "-7", "12", "9223372036854775807", "-9223372036854775808"]),
  RESPCase("bulk strings", "$5\\hello\\$0\\\\$2\\\\\\", ["'hello'", "''", "'\r\n'"]),
  RESPCase("nulls", "$-1\\*-1\\_\\", ["null", "null", "null"]),
  RESPCase("lists", "*2\\:1\\$1\\a\\*0\\*1\\*1\\*0\\", ["[1 'a']", "[]", "[[[]]]"]),
  RESPCase("list of an error and a null", "*3\\-ERR x\\$-1\\:1\\", ["[-[ERR] ERR x null 1]"]),
  RESPCase("booleans", "#t\\#f\\", ["true", "false"]),
  RESPCase("doubles", ",1.5\\,-2e3\\,inf\\,-inf\\,nan\\,10\\", ["1.5", "-2000.0", "inf", "-inf", "nan", "10.0"]),
  RESPCase("big number", "(123456789012345678901234567890\\(-1\\", ["(123456789012345678901234567890", "(-1"]),
  RESPCase("bulk error", "!9\\SYNTAX no\\", ["-[SYNTAX] SYNTAX no"]),
  RESPCase("verbatim", "=8\\txt:some\\=4\\mkd:\\", ["txt:'some'", "mkd:''"]),
  RESPCase("map and set", "%2\\+a\\:1\\+b\\*1\\:2\\~2\\:1\\:1\\%0\\~0\\", ["{+a=1 +b=[2]}", "~[1 1]", "{}", "~[]"]),
  RESPCase("push between answers", "+OK\\>3\\+message\\+c\\$2\\hi\\:1\\", ["+OK", ">[+message +c 'hi']", "1"]),
  RESPCase(
    "attributes are dropped, also inside", "|1\\+ttl\\:3\\:1\\*2\\|1\\+a\\*1\\:9\\:1\\:2\\|0\\+x\\",
    ["1", "[1 2]", "+x"]),
  RESPCase("a value that has begun", "*2\\:1\\", ["unfinished"]),
  // Not RESP.
  RESPCase("HTTP", "HTTP/1.1 400 Bad Request\\", [malformed + "an answer begins with \"H\""]),
  RESPCase("a TLS alert", "\u{15}\u{03}", [malformed + "an answer begins with byte 21"]),
  RESPCase("line feed alone", "+OK\n", [malformed + "a line that does not end in CR LF"]),
  RESPCase("only a line feed", "+\n", [malformed + "a line that does not end in CR LF"]),
  RESPCase("CR inside", "+a\rb\\", [malformed + "a CR inside a line"]),
  RESPCase("integer that is none", ":\\", [malformed + "an integer that is no number"]),
  RESPCase("integer too large", "+a\\:9223372036854775808\\", ["+a", malformed + "an integer that is no number"]),
  RESPCase("integer with space", ": 1\\", [malformed + "an integer that is no number"]),
  RESPCase("negative length", "$-2\\", [malformed + "a string's length is no number"]),
  RESPCase("streamed string", "$?\\", [malformed + "a string's length is no number"]),
  RESPCase("negative list", "*-2\\", [malformed + "a list's length is no number"]),
  RESPCase("absurd length", "$99999999999999999999\\", [malformed + "a string's length is no number"]),
  RESPCase("huge length", "$9999999999\\", ["RESPTooLarge: an answer of more than 536870912 bytes"]),
  RESPCase("huge list", "*999999999\\", ["RESPTooLarge: an answer of more than 4194304 elements"]),
  RESPCase("huge map", "%2097153\\", ["RESPTooLarge: an answer of more than 4194304 elements"]),
  RESPCase("many huge lists", "*4000000\\*4000000\\", ["RESPTooLarge: an answer of more than 4194304 elements"]),
  RESPCase("longer than its length", "$1\\ab\\", [malformed + "a string is longer than its length"]),
  RESPCase("boolean of neither kind", "#x\\", [malformed + "a boolean that is neither t nor f"]),
  RESPCase("null with something", "_x\\", [malformed + "a null with something in it"]),
  RESPCase("double in hexadecimal", ",0x10\\", [malformed + "a double that is no number"]),
  RESPCase("double of nothing", ",\\", [malformed + "a double that is no number"]),
  RESPCase("big number of letters", "(12a\\", [malformed + "a big number that is no number"]),
  RESPCase("big number of nothing", "(-\\", [malformed + "a big number that is no number"]),
  RESPCase("verbatim without format", "=3\\txt\\", [malformed + "a verbatim string without its format"]),
  RESPCase(
    "nested too deep", String(repeating: "*1\\", count: 33), [malformed + "lists are nested deeper than 32 levels"]),
]

@Suite struct RESPParserTests {
  @Test(arguments: cases) fileprivate func everyCutGivesTheSame(_ example: RESPCase) throws {
    #expect(try everyCut(example.bytes) { parse($0) } == example.lines)
  }

  @Test func aLineThatNeverEndsIsRefusedWhereverItIsCut() throws {
    var limits = RESPParser.Limits()
    limits.lineLimit = 8
    #expect(try everyCut("+12345678\r\n") { parse($0, limits: limits) } == ["+12345678"])
    let refusal = [malformed + "a line of more than 8 bytes"]
    #expect(try everyCut("+123456789\r\n") { parse($0, limits: limits) } == refusal)
    #expect(try everyCut("+1234567890123") { parse($0, limits: limits) } == refusal)
  }

  @Test func limitsAreOfOneValueAndStartAnew() throws {
    var limits = RESPParser.Limits()
    limits.elementsLimit = 4
    limits.valueLimit = 6
    limits.stringLimit = 4
    let fits = "*2\r\n$3\r\nabc\r\n$3\r\nabc\r\n"
    #expect(try everyCut(fits + fits) { parse($0, limits: limits) } == ["['abc' 'abc']", "['abc' 'abc']"])
    let over = "RESPTooLarge: an answer of more than 4 bytes"
    #expect(try everyCut("*2\r\n$3\r\nabc\r\n$4\r\n") { parse($0, limits: limits) } == [over])
    #expect(try everyCut("$5\r\n") { parse($0, limits: limits) } == [over])
    #expect(
      try everyCut("*2\r\n*2\r\n:1\r\n:1\r\n*1\r\n") { parse($0, limits: limits) } == [
        "RESPTooLarge: an answer of more than 4 elements"
      ])
  }

  @Test func aFailedParserStaysFailed() {
    var parser = RESPParser()
    parser.receive(Array("x".utf8).span)
    for _ in 0..<2 {
      #expect(throws: RESPFailure.malformed("an answer begins with \"x\"")) { try parser.next() }
      parser.receive(Array("+OK\r\n".utf8).span)
    }
  }

  /// Values made at random, written and read back, in random pieces.
  @Test func whatIsWrittenIsReadBack() throws {
    for seed in 1...Self.rounds as ClosedRange<UInt64> {
      let random = SeededRandom(seed: seed)
      let values = (0..<random.int(1...5)).map { _ in randomValue(random, depth: 4) }
      var bytes: [UInt8] = []
      for value in values { write(value, to: &bytes) }
      #expect(
        try everyCut(bytes, randomCuts: 5, seed: seed, everyPlaceLimit: 20) { parse($0) } == values.map(show),
        "seed \(seed)")
    }
  }

  /// Bytes that almost are RESP: whatever comes of them, it is the same for every cut, and nothing crashes.
  @Test func brokenBytesGiveTheSameForEveryCut() throws {
    let alphabet = Array("+-:$*%~>|=!#,(_0123459 tf\r\n\r\n\r\n".utf8)
    for seed in 1...Self.rounds as ClosedRange<UInt64> {
      let random = SeededRandom(seed: seed)
      var bytes: [UInt8] = []
      write(randomValue(random, depth: 3), to: &bytes)
      for _ in 0..<random.int(1...4) {
        let at = random.int(0...bytes.count)
        switch random.int(0...2) {
        case 0: bytes.insert(random.pick(alphabet), at: at)
        case 1: if at < bytes.count { bytes.remove(at: at) }
        default: if at < bytes.count { bytes[at] = random.pick(alphabet) }
        }
      }
      do { try everyCut(bytes, randomCuts: 5, seed: seed, everyPlaceLimit: 50) { parse($0) } } catch {
        Issue.record("seed \(seed): \(error)")
      }
    }
  }

  private static let rounds: UInt64 = 300

  private func randomValue(_ random: SeededRandom, depth: Int) -> RESPValue {
    func list() -> [RESPValue] { (0..<random.int(0...4)).map { _ in randomValue(random, depth: depth - 1) } }
    switch random.int(0...(depth > 0 ? 12 : 8)) {
    case 0: return .simple("text \(random.int(0...99))")
    case 1: return .error(RESPError("ERR no \(random.int(0...99))"))
    case 2: return .integer(Int64(bitPattern: random.next()))
    case 3: return .bulk(random.bytes(random.pick([0, 1, 5, 300])))
    case 4: return .null
    case 5: return .boolean(random.chance(0.5))
    case 6: return .double(Double(random.int(-9999...9999)) / 8)
    case 7: return .bigNumber("\(random.next())\(random.next())")
    case 8: return .verbatim(format: "txt", random.bytes(random.int(0...9)))
    case 9: return .array(list())
    case 10: return .set(list())
    case 11: return .push(list())
    default:
      return .map((0..<random.int(0...3)).map { _ in .init(.integer(1), randomValue(random, depth: depth - 1)) })
    }
  }

  private func write(_ value: RESPValue, to out: inout [UInt8]) {
    func line(_ text: String) { out += Array((text + "\r\n").utf8) }
    func string(_ type: String, _ bytes: [UInt8]) {
      line("\(type)\(bytes.count)")
      out += bytes
      line("")
    }
    func list(_ type: String, _ values: [RESPValue]) {
      line("\(type)\(values.count)")
      for value in values { write(value, to: &out) }
    }
    switch value {
    case .simple(let text): line("+\(text)")
    case .error(let error): line("-\(error.message)")
    case .integer(let number): line(":\(number)")
    case .bulk(let bytes): string("$", bytes)
    case .null: line("_")
    case .boolean(let value): line("#\(value ? "t" : "f")")
    case .double(let number): line(",\(number)")
    case .bigNumber(let digits): line("(\(digits)")
    case .verbatim(let format, let bytes): string("=", Array(format.utf8) + [UInt8(ascii: ":")] + bytes)
    case .array(let values): list("*", values)
    case .set(let values): list("~", values)
    case .push(let values): list(">", values)
    case .map(let pairs):
      line("%\(pairs.count)")
      for pair in pairs {
        write(pair.key, to: &out)
        write(pair.value, to: &out)
      }
    }
  }
}

@Suite struct RESPWriterTests {
  @Test func aCommandIsAListOfStrings() {
    #expect(
      String(decoding: RESPWriter.command(["SET", "é", ""]), as: UTF8.self)
        == "*3\r\n$3\r\nSET\r\n$2\r\né\r\n$0\r\n\r\n")
    var bytes: [UInt8] = []
    RESPWriter.begin(count: 2, to: &bytes)
    RESPWriter.append("PING", to: &bytes)
    RESPWriter.append([0, 13, 10, 255], to: &bytes)
    #expect(bytes == Array("*2\r\n$4\r\nPING\r\n$4\r\n".utf8) + [0, 13, 10, 255, 13, 10])
  }
}
