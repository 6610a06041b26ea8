/// Shows diagnostics to people and to tools.
///
/// ```
/// error[E0104]: this `{` is never closed
///   --> app.weir:3:14
///    |
///  3 | func main() {
///    |             ^ opened here
///   ...
///  9 | func other() {
///    | - noticed here
///    |
///    = hint: close it with `}`
/// ```
/// Text without a terminal's escapes unless asked; control characters of the source never reach the terminal. Knows no
/// language: only spans, labels and lines. The JSON form has the same content, with lines and columns from 1.
package struct DiagnosticPrinter {
  package var sources: SourceMap
  package var color: Bool
  /// Longer lines are shown as a window around the place.
  package static let lineWidthLimit = 160

  package init(_ sources: SourceMap, color: Bool = false) {
    self.sources = sources
    self.color = color
  }

  package init(_ source: Source, color: Bool = false) {
    var sources = SourceMap()
    // Spans of a lone source carry its own id; the map is filled up to it.
    for _ in 0..<source.id { sources.add(name: "", text: "") }
    sources.add(name: source.name, bytes: source.bytes)
    self.init(sources, color: color)
  }

  /// All of them, an empty line between two, in the given order.
  package func text(_ diagnostics: [Diagnostic]) -> String {
    diagnostics.map { text($0) }.joined(separator: "\n")
  }

  package func text(_ diagnostic: Diagnostic) -> String {
    let tint: Style = [.error: .red, .warning: .yellow][diagnostic.severity] ?? .cyan
    var out =
      paint("\(diagnostic.severity.rawValue)[\(diagnostic.code)]", tint) + paint(": \(clean(diagnostic.title))", .bold)
      + "\n"
    let marks =
      [Mark(span: diagnostic.primary.span, label: diagnostic.primary.text, isPrimary: true)]
      + diagnostic.related.map { Mark(span: $0.span, label: $0.text, isPrimary: false) }
    let shown = marks.filter { sources.source(of: $0.span) != nil }
    let margin = String(shown.map { sources.source(of: $0.span)!.position(of: Int($0.span.start)).line }.max() ?? 1)
      .utf8.count
    let bar = paint(String(repeating: " ", count: margin + 1) + "|", .blue)
    // The primary place's file first, then the others in order.
    var files: [UInt32] = []
    for mark in shown where !files.contains(mark.span.file) { files.append(mark.span.file) }
    for (i, file) in files.enumerated() {
      let here = shown.filter { $0.span.file == file }
      guard let source = sources.source(of: here[0].span) else { continue }
      let position = source.position(of: Int(here[0].span.start))
      let arrow = paint(String(repeating: " ", count: margin) + (i == 0 ? "-->" : ":::"), .blue)
      out += "\(arrow) \(clean(source.name)):\(position.line):\(position.column)\n\(bar)\n"
      out += excerpt(of: source, here, margin: margin, bar: bar, tint: tint)
    }
    if !shown.isEmpty, !diagnostic.notes.isEmpty || diagnostic.hint != nil { out += bar + "\n" }
    let indent = String(repeating: " ", count: margin + 1)
    for note in diagnostic.notes { out += "\(indent)\(paint("=", .blue)) \(clean(note))\n" }
    if let hint = diagnostic.hint { out += "\(indent)\(paint("= hint:", .blue)) \(clean(hint))\n" }
    return out
  }

  // MARK: - Excerpts

  private struct Mark {
    var span: Span
    var label: String
    var isPrimary: Bool
  }

  private func excerpt(of source: Source, _ marks: [Mark], margin: Int, bar: String, tint: Style) -> String {
    var byLine: [Int: [Mark]] = [:]
    for mark in marks { byLine[source.lineIndex(of: Int(mark.span.start)), default: []].append(mark) }
    var out = ""
    var last: Int?
    for line in byLine.keys.sorted() {
      if let last, line > last + 1 {
        // A single line between two is shown, more are left out.
        if line == last + 2 {
          out += numbered(last + 1, margin) + window(source, last + 1, around: nil).text + "\n"
        } else {
          out += paint(String(repeating: " ", count: max(0, margin - 1)) + "...", .blue) + "\n"
        }
      }
      last = line
      let inLine = (byLine[line] ?? []).sorted { ($0.isPrimary ? 0 : 1, $0.span) < ($1.isPrimary ? 0 : 1, $1.span) }
      let view = window(source, line, around: inLine[0].span)
      out += numbered(line, margin) + view.text + "\n"
      for mark in inLine {
        let from = view.column(of: Int(mark.span.start))
        let to = max(from + 1, view.column(of: min(Int(mark.span.end), source.lineRange(line).upperBound)))
        let underline = String(repeating: mark.isPrimary ? "^" : "-", count: to - from)
        let text = mark.label.isEmpty ? underline : "\(underline) \(clean(mark.label))"
        out += "\(bar) \(String(repeating: " ", count: from))\(paint(text, mark.isPrimary ? tint : .blue))\n"
      }
    }
    return out
  }

  private func numbered(_ line: Int, _ margin: Int) -> String {
    let number = String(line + 1)
    return paint(String(repeating: " ", count: margin - number.utf8.count) + number + " | ", .blue)
  }

  private struct Window {
    var text: String
    /// Byte offset and display column of each shown scalar, ascending.
    var columns: [(offset: Int, column: Int)]

    func column(of offset: Int) -> Int {
      var low = 0
      var high = columns.count
      while high - low > 1 {
        let middle = (low + high) / 2
        if columns[middle].offset <= offset { low = middle } else { high = middle }
      }
      return columns[low].column
    }
  }

  private func window(_ source: Source, _ line: Int, around span: Span?) -> Window {
    let range = source.lineRange(line)
    var cells: [(offset: Int, text: String, width: Int)] = []
    var offset = range.lowerBound
    for scalar in source.text(range).unicodeScalars {
      let (text, width) = Self.cell(scalar)
      cells.append((min(offset, range.upperBound), text, width))
      // A repaired byte is one byte, though U+FFFD has three.
      offset +=
        scalar.value == 0xFFFD && source.bytes[min(offset, source.bytes.count - 1)] != 0xEF ? 1 : UTF8.width(scalar)
    }
    var first = 0
    var end = cells.count
    if cells.count > Self.lineWidthLimit {
      let at = span.map { s in cells.firstIndex { $0.offset >= Int(s.start) } ?? cells.count } ?? 0
      first = max(0, min(at - Self.lineWidthLimit / 3, cells.count - Self.lineWidthLimit))
      end = min(cells.count, first + Self.lineWidthLimit)
    }
    var text = first > 0 ? "…" : ""
    var column = first > 0 ? 1 : 0
    var columns: [(offset: Int, column: Int)] = []
    for cell in cells[first..<end] {
      columns.append((cell.offset, column))
      text += cell.text
      column += cell.width
    }
    columns.append((end < cells.count ? cells[end].offset : range.upperBound, column))
    if end < cells.count { text += "…" }
    return Window(text: text, columns: columns)
  }

  private static func cell(_ scalar: Unicode.Scalar) -> (String, Int) {
    switch scalar.value {
    case 9: ("    ", 4)
    case 0..<0x20, 0x7F..<0xA0, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x2069, 0xFEFF: ("\u{FFFD}", 1)
    case 0x300...0x36F, 0xFE00...0xFE0F: (String(scalar), 0)
    case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
      0x1F300...0x1FAFF, 0x20000...0x3FFFD:
      (String(scalar), 2)
    default: (String(scalar), 1)
    }
  }

  // MARK: - Colour

  private enum Style: String {
    case red = "1;31"
    case yellow = "1;33"
    case blue = "34"
    case cyan = "1;36"
    case bold = "1"
  }

  private func paint(_ text: String, _ style: Style) -> String {
    color ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
  }

  /// Names and excerpts inside messages come from the program.
  private func clean(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) }) else {
      return text
    }
    return String(
      String.UnicodeScalarView(
        text.unicodeScalars.map { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) ? "\u{FFFD}" : $0 }))
  }
}
