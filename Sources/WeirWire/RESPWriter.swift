/// Commands for a Redis server: lists of strings, the one form that both versions of RESP have for them.
package enum RESPWriter {
  /// The head of a command of `count` arguments, its name among them; `append` each of them behind it.
  package static func begin(count: Int, to output: inout [UInt8]) {
    output.append(UInt8(ascii: "*"))
    end(count, &output)
  }

  package static func append(_ bytes: [UInt8], to output: inout [UInt8]) {
    output.append(UInt8(ascii: "$"))
    end(bytes.count, &output)
    output += bytes
    output.append(.carriageReturn)
    output.append(.lineFeed)
  }

  package static func append(_ text: String, to output: inout [UInt8]) {
    output.append(UInt8(ascii: "$"))
    end(text.utf8.count, &output)
    output += text.utf8
    output.append(.carriageReturn)
    output.append(.lineFeed)
  }

  package static func command(_ arguments: [String]) -> [UInt8] {
    var output: [UInt8] = []
    begin(count: arguments.count, to: &output)
    for argument in arguments { append(argument, to: &output) }
    return output
  }

  private static func end(_ number: Int, _ output: inout [UInt8]) {
    output += String(number).utf8
    output.append(.carriageReturn)
    output.append(.lineFeed)
  }
}
