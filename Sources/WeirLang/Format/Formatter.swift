/// A program in its canonical spelling: what `weir fmt` writes.
///
/// Tree in, text out. Comments and single empty lines are kept, strings and numbers stay as they are written; everything
/// else has one form: `//`, `func`, `export`, `(x) => e`, `&&`, no semicolons, effects sorted, at most `width` columns where
/// that can be done. A program with syntax errors is left alone, and so is one whose formatted text would not mean the
/// same: each result is read again before it is given out.
///
/// Knows no types or files. The parts are in `Format….swift`: each makes a `Layout`, and takes the comments before it first.
package struct Formatter {
  package static let width = 100

  package enum Result: Sendable {
    case formatted(String)
    /// The file has syntax errors, or its canonical spelling would nest beyond the limit; nothing was done.
    case unreadable([Diagnostic])
    /// The text made would not have meant the same. A mistake of the formatter.
    case refused
  }

  package static func format(_ source: Source) -> Result {
    let parsed = Parser.parse(source)
    guard !parsed.diagnostics.hasErrors else { return .unreadable(parsed.diagnostics) }
    let lexed = parsed.lexed
    let meaning = TreePrinter.meaning(parsed.tree)
    let comments = Comments(source, lexed)
    var tooDeep: Diagnostic?
    for isCareful in [false, true] {
      var formatter = Formatter(source, lexed, comments, isCareful: isCareful)
      let text = LayoutRenderer.render(formatter.file(parsed.tree), width: width)
      let again = Source(name: source.name, text: text, id: source.id)
      let result = Parser.parse(again)
      if let found = result.diagnostics.first(where: { $0.code == "E0901" }) {
        let item = result.tree.items.lastIndex { $0.span.start <= found.span.start } ?? 0
        tooDeep = Self.tooDeep(parsed.tree.items[min(item, parsed.tree.items.count - 1)].span.first)
      }
      guard result.diagnostics.isEmpty || result.diagnostics.count == parsed.diagnostics.count,
        TreePrinter.meaning(result.tree) == meaning
      else { continue }
      let kept = Comments(again, result.lexed).all.map(\.text)
      if kept == comments.all.map(\.text) { return .formatted(text) }
    }
    return tooDeep.map { .unreadable([$0]) } ?? .refused
  }

  /// A canonical spelling has brackets and braces that another may leave out.
  private static func tooDeep(_ place: Span) -> Diagnostic {
    Diagnostic(
      "E0901", "written canonically, this would nest more than \(Parser.nestingLimit) levels deep", at: place,
      hint: "give parts of it names with `let`")
  }

  let source: Source
  let lexed: Lexed
  var comments: Comments
  /// Comments inside a statement are moved before it: the second attempt, for places where no comment can stand.
  let isCareful: Bool

  private init(_ source: Source, _ lexed: Lexed, _ comments: Comments, isCareful: Bool) {
    self.source = source
    self.lexed = lexed
    self.comments = comments
    self.isCareful = isCareful
  }

  // MARK: - Source

  func line(_ offset: UInt32) -> Int { source.lineIndex(of: Int(offset)) }
  func text(_ span: Span) -> String { source.text(span) }

  /// The token that starts at or behind `offset`.
  func token(at offset: UInt32) -> Int {
    var low = 0
    var high = lexed.tokens.count
    while low < high {
      let middle = (low + high) / 2
      if lexed.tokens[middle].start < offset { low = middle + 1 } else { high = middle }
    }
    return min(low, lexed.tokens.count - 1)
  }

  /// The last token that ends at or before `offset`.
  func token(endingAt offset: UInt32) -> Token? {
    let index = token(at: offset) - 1
    return index >= 0 ? lexed.tokens[index] : nil
  }

  func text(_ token: Token) -> String { source.text(Int(token.start)..<Int(token.end)) }

  /// Its brace is the last thing on its line: whoever wrote it wanted it in lines.
  func opensLine(_ span: Span) -> Bool {
    let index = token(at: span.start)
    guard index + 1 < lexed.tokens.count else { return false }
    return lexed.tokens[index + 1].flags.contains(.newlineBefore)
  }

  // MARK: - Comments

  /// What stands before `offset` and belongs to something inside a statement.
  mutating func before(_ offset: UInt32) -> [Layout] {
    guard comments.peek(before: Int(offset)) else { return [] }
    var parts: [Layout] = []
    for comment in comments.take(before: Int(offset)) {
      if comment.isToLineEnd {
        parts += [.comment(comment.text), .hardLine]
      } else {
        parts += [.raw(comment.text), comment.isLastOnLine ? .hardLine : .text(" ")]
      }
    }
    return parts
  }

  mutating func trailing(_ end: UInt32, before limit: UInt32) -> [Layout] {
    comments.takeTrailing(after: Int(end), before: Int(limit), in: source).map { comment in
      .join([.text(" "), comment.isToLineEnd ? .comment(comment.text) : .raw(comment.text)])
    }
  }

  /// One line of a sequence whose lines are all its own: a statement, an arm, a setting.
  struct Row {
    var layout: Layout
    var isWide: Bool
    /// Which element it is; nil for a comment.
    var element: Int?
  }

  /// Rows for the comments before `offset`. `last` is the line the row before ends in.
  mutating func commentRows(before offset: UInt32, after last: inout Int?, into rows: inout [Row]) -> [Layout] {
    var inline: [Layout] = []
    for comment in comments.take(before: Int(offset)) {
      let start = source.lineIndex(of: comment.range.lowerBound)
      let end = source.lineIndex(of: comment.range.upperBound)
      if !comment.isToLineEnd, !comment.isLastOnLine, end == line(offset) {
        inline += [.raw(comment.text), .text(" ")]
        continue
      }
      rows.append(
        Row(
          layout: .join(inline + [comment.isToLineEnd ? .comment(comment.text) : .raw(comment.text)]),
          isWide: last.map { start > $0 + 1 } ?? false))
      inline = []
      last = end
    }
    return inline
  }

  /// All rows of a braced sequence whose closing brace starts at `close`. `lastLine` is the line of the opening one.
  mutating func rows<Element>(
    _ elements: [Element], in span: Span, _ place: (Element) -> Span,
    _ layout: (inout Formatter, Element) -> Layout
  ) -> [Row] {
    var rows: [Row] = []
    var last: Int?
    let close = span.end > span.start ? span.end - 1 : span.end
    for (i, element) in elements.enumerated() {
      let here = place(element)
      // In the careful attempt, all comments up to the end of the statement come before it.
      let inline = commentRows(before: isCareful ? max(here.end, here.start) : here.start, after: &last, into: &rows)
      let isWide = last.map { line(here.start) > $0 + 1 } ?? false
      let made = layout(&self, element)
      let limit = i + 1 < elements.count ? place(elements[i + 1]).start : close
      rows.append(
        Row(
          layout: .join(inline + [made] + trailing(here.end, before: limit)), isWide: isWide && !rows.isEmpty,
          element: i))
      last = max(last ?? 0, line(here.end))
    }
    let rest = commentRows(before: close, after: &last, into: &rows)
    if !rest.isEmpty { rows.append(Row(layout: .join(rest), isWide: false)) }
    return rows
  }

  static func lines(_ rows: [Row]) -> [Layout] {
    rows.enumerated().flatMap { i, row in i == 0 ? [row.layout] : [row.isWide ? .wideHardLine : .hardLine, row.layout] }
  }

  /// `{`, the rows, `}`.
  static func braced(_ rows: [Row]) -> Layout {
    .group([.text("{"), .indent([.hardLine] + lines(rows)), .hardLine, .text("}")])
  }

  // MARK: - Lists

  /// Elements with commas between brackets: on one line, or each on its own with a comma behind the last.
  mutating func list<Element>(
    _ open: String, _ elements: [Element], _ close: String, in span: Span, padded: Bool = false, breaks: Bool = false,
    hugs: Bool = false, fills: Bool = false, _ place: (Element) -> Span, _ layout: (inout Formatter, Element) -> Layout
  ) -> Layout {
    let end = span.end > span.start ? span.end - 1 : span.end
    var parts: [Layout] = []
    var made: [Layout] = []
    var last: Int?
    var hasComments = false
    for (i, element) in elements.enumerated() {
      let here = place(element)
      let next = i + 1 < elements.count ? place(elements[i + 1]).start : end
      var first = line(here.start)
      if let comment = comments.upcoming, comment.range.lowerBound < here.start {
        hasComments = true
        first = source.lineIndex(of: comment.range.lowerBound)
      }
      let leading = before(here.start)
      let one = layout(&self, element)
      made.append(one)
      let behind = trailing(here.end, before: next)
      hasComments = hasComments || !behind.isEmpty
      let comma: Layout = i + 1 < elements.count ? .text(",") : .whenBroken(",")
      if i > 0 { parts.append(last.map { first > $0 + 1 } ?? false ? .wideLine : .line) }
      if fills, let separator = parts.popLast() {
        parts.append(.group([separator] + leading + [one, comma] + behind))
      } else {
        parts += leading + [one, comma] + behind
      }
      last = line(here.end)
    }
    if comments.peek(before: Int(end)) {
      hasComments = true
      for comment in comments.take(before: Int(end)) {
        parts += [.hardLine, comment.isToLineEnd ? .comment(comment.text) : .raw(comment.text)]
      }
    }
    if parts.isEmpty { return .text(open + close) }
    let edge: Layout = padded ? .line : .softLine
    let broken = Layout.group([.text(open), .indent([edge] + parts), edge, .text(close)], breaks: breaks)
    guard hugs, !hasComments, let final = made.last, !made.dropLast().contains(where: { $0.breaks }) else {
      return broken
    }
    let heads = made.dropLast().flatMap { [$0, .text(", ")] }
    let flat = Layout.join([.text(open)] + heads + [final, .text(close)])
    let hugging = Layout.join([.text(open)] + heads + [final.broken, .text(close)])
    return Layout(
      .choice(final.breaks ? [hugging, broken.broken] : [flat, hugging, broken.broken]), breaks: final.breaks)
  }
}
