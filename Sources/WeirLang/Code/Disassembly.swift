/// Code as text, one instruction a line, for tests and the curious.
extension Program {
  package func disassembly() -> String {
    functions.map { $0.disassembly() }.joined(separator: "\n")
  }
}

extension FunctionRef {
  /// `name/arity`, then each instruction with its place.
  package func disassembly() -> String {
    let function = pointer.pointee
    var lines = ["\(function.name)/\(function.arity) registers \(function.registers) captures \(function.captureCount)"]
    for place in 0..<function.codeCount {
      let number = String(place)
      let padding = String(repeating: " ", count: max(0, 4 - number.utf8.count))
      lines.append("\(padding)\(number)  \(function.code[place])")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
