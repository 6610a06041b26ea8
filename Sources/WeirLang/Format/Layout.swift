/// A text whose line breaks are still open: what the formatter makes of a tree, and what a `LayoutRenderer` sets in lines.
///
/// A `group` is set on one line if it fits, else each `line` directly in it breaks. What must break (a comment to the end
/// of a line, a statement) makes every group around it break: `breaks` is worked out when a layout is built, so that
/// rendering is one pass.
package struct Layout: Sendable {
  package indirect enum Kind: Sendable {
    case text(String)
    /// May hold line breaks, which stay as they are: strings, block comments.
    case raw(String)
    /// To the end of its line: whatever follows starts a new one.
    case comment(String)
    /// Flat: a blank, or nothing. Broken: a line break, with an empty line before it where `isWide`.
    case line(blank: Bool, isWide: Bool)
    case join([Layout])
    case indent(Layout)
    case group(Layout)
    /// One or the other, as the group around is set.
    case either(broken: Layout, flat: Layout)
    /// The first of which the first line fits; the last one if none.
    case choice([Layout])
  }

  package let kind: Kind
  package let breaks: Bool

  init(_ kind: Kind, breaks: Bool = false) {
    self.kind = kind
    self.breaks = breaks
  }

  static func text(_ text: String) -> Layout { Layout(.text(text)) }
  static func raw(_ text: String) -> Layout { Layout(.raw(text)) }
  static func comment(_ text: String) -> Layout { Layout(.comment(text), breaks: true) }
  static let nothing = Layout(.join([]))
  static let line = Layout(.line(blank: true, isWide: false))
  static let wideLine = Layout(.line(blank: true, isWide: true))
  static let softLine = Layout(.line(blank: false, isWide: false))
  static let hardLine = Layout(.line(blank: true, isWide: false), breaks: true)
  static let wideHardLine = Layout(.line(blank: true, isWide: true), breaks: true)
  static func join(_ parts: [Layout]) -> Layout { Layout(.join(parts), breaks: parts.contains { $0.breaks }) }
  static func indent(_ parts: [Layout]) -> Layout {
    let inner = join(parts)
    return Layout(.indent(inner), breaks: inner.breaks)
  }
  static func group(_ parts: [Layout], breaks: Bool = false) -> Layout {
    let inner = join(parts)
    return Layout(.group(inner), breaks: breaks || inner.breaks)
  }
  static func whenBroken(_ text: String, else flat: String = "") -> Layout {
    Layout(.either(broken: .text(text), flat: .text(flat)))
  }

  /// What is written last.
  private var lastText: String? {
    switch kind {
    case .text(let text), .raw(let text), .comment(let text): text.isEmpty ? nil : text
    case .line: nil
    case .join(let parts): Self.lastText(of: parts)
    case .indent(let inner), .group(let inner): inner.lastText
    case .either(_, let flat): flat.lastText
    case .choice(let layouts): layouts.last?.lastText
    }
  }

  /// A loop, for a lazy `compactMap` asks each part twice, and each of those its own parts twice.
  private static func lastText(of parts: [Layout]) -> String? {
    for part in parts.reversed() {
      if let text = part.lastText { return text }
    }
    return nil
  }

  /// A line break behind a field named like a word (`event.type`) would not end the statement: a separator does.
  func ended(by separator: String) -> Layout {
    guard let last = lastText, last.hasPrefix("."), let word = Token.Kind.keywords[String(last.dropFirst())],
      !word.canEnd
    else { return self }
    return .join([self, .text(separator)])
  }

  /// With its last group broken.
  var broken: Layout {
    switch kind {
    case .group(let inner): Layout(.group(inner), breaks: true)
    case .join(let parts):
      if let last = parts.last { .join(parts.dropLast() + [last.broken]) } else { self }
    default: self
    }
  }
}

/// Sets a layout in lines of at most `width` characters where that can be done.
///
/// No recursion: a stack of what is still to be written, each with its indentation and whether its group is broken.
/// Blanks never end a line, and nothing ever follows a comment on its line.
struct LayoutRenderer {
  let width: Int
  static let step = 2

  private struct Part {
    var indent: Int
    var isBroken: Bool
    var layout: Layout
  }

  private var out = ""
  /// Of the line being written; its indentation is written with its first text.
  private var column = 0
  private var pendingIndent = 0
  private var isLineEmpty = true
  private var isInComment = false
  private var pendingBlanks = 0

  static func render(_ layout: Layout, width: Int) -> String {
    var renderer = LayoutRenderer(width: width)
    renderer.run(layout)
    while renderer.out.utf8.last == UInt8(ascii: "\n") { renderer.out.removeLast() }
    return renderer.out.isEmpty ? "" : renderer.out + "\n"
  }

  private init(width: Int) { self.width = width }

  private mutating func run(_ layout: Layout) {
    var stack = [Part(indent: 0, isBroken: true, layout: layout)]
    while let part = stack.popLast() {
      switch part.layout.kind {
      case .text(let text): write(text, part.indent)
      case .raw(let text): writeRaw(text, part.indent)
      case .comment(let text):
        write(text, part.indent)
        isInComment = true
      case .line(let blank, let isWide):
        if part.isBroken || part.layout.breaks {
          newLine(part.indent, isWide: isWide)
        } else if blank, !isLineEmpty {
          pendingBlanks += 1
        }
      case .join(let parts):
        for inner in parts.reversed() {
          stack.append(Part(indent: part.indent, isBroken: part.isBroken, layout: inner))
        }
      case .indent(let inner):
        stack.append(Part(indent: part.indent + Self.step, isBroken: part.isBroken, layout: inner))
      case .group(let inner):
        var next = Part(indent: part.indent, isBroken: false, layout: inner)
        next.isBroken = part.layout.breaks || !fits(next, stack)
        stack.append(next)
      case .either(let broken, let flat):
        stack.append(Part(indent: part.indent, isBroken: part.isBroken, layout: part.isBroken ? broken : flat))
      case .choice(let layouts):
        let parts = layouts.map { Part(indent: part.indent, isBroken: $0.breaks, layout: $0) }
        if let chosen = parts.dropLast().first(where: { fits($0, stack) }) ?? parts.last { stack.append(chosen) }
      }
    }
  }

  // MARK: - Writing

  private mutating func write(_ text: String, _ indent: Int) {
    guard !text.isEmpty else { return }
    begin(indent)
    // Blanks at the end wait for what follows.
    let trimmed = text.utf8.reversed().prefix { $0 == UInt8(ascii: " ") }.count
    pendingBlanks = trimmed
    let shown = trimmed == 0 ? text : String(text.dropLast(trimmed))
    out += shown
    column += shown.unicodeScalars.count
  }

  /// Blanks that wait are written: something follows them.
  private mutating func begin(_ indent: Int) {
    if isInComment { newLine(indent, isWide: false) }
    if isLineEmpty {
      column = out.isEmpty ? 0 : pendingIndent
      out += String(repeating: " ", count: column)
      isLineEmpty = false
    } else if pendingBlanks > 0 {
      out += String(repeating: " ", count: pendingBlanks)
      column += pendingBlanks
    }
    pendingBlanks = 0
  }

  private mutating func writeRaw(_ text: String, _ indent: Int) {
    guard let last = text.unicodeScalars.lastIndex(of: "\n") else { return write(text, indent) }
    begin(indent)
    out += text
    column = text.unicodeScalars.distance(from: last, to: text.unicodeScalars.endIndex) - 1
  }

  private mutating func newLine(_ indent: Int, isWide: Bool) {
    isInComment = false
    pendingBlanks = 0
    pendingIndent = indent
    if !isLineEmpty { out += "\n" }
    if isWide, !out.isEmpty, !out.utf8.suffix(2).elementsEqual([0x0A, 0x0A]) { out += "\n" }
    isLineEmpty = true
    column = indent
  }

  // MARK: - Measuring

  /// The part, and what follows it up to where the line can end, fits the rest of this line.
  private func fits(_ part: Part, _ rest: [Part]) -> Bool {
    var room = width - (isLineEmpty ? pendingIndent : column + pendingBlanks)
    // Groups behind the part may still break; those in it stay flat, unless they must.
    var stack = [(part: part, isBehind: false)]
    var next = rest.count
    while room >= 0 {
      guard let (part, isBehind) = stack.popLast() else {
        next -= 1
        if next < 0 { return true }
        stack.append((rest[next], true))
        continue
      }
      func push(_ layout: Layout, isBroken: Bool) {
        stack.append((Part(indent: 0, isBroken: isBroken, layout: layout), isBehind))
      }
      switch part.layout.kind {
      case .text(let text): room -= text.unicodeScalars.count
      case .raw(let text):
        let scalars = text.unicodeScalars
        guard let end = scalars.firstIndex(of: "\n") else {
          room -= scalars.count
          continue
        }
        return room >= scalars.distance(from: scalars.startIndex, to: end)
      case .comment: return true
      case .line(let blank, _):
        if part.isBroken || part.layout.breaks { return true }
        room -= blank ? 1 : 0
      case .join(let parts): for inner in parts.reversed() { push(inner, isBroken: part.isBroken) }
      case .indent(let inner): push(inner, isBroken: part.isBroken)
      case .group(let inner): push(inner, isBroken: part.layout.breaks || (isBehind && part.isBroken))
      case .either(let broken, let flat): push(part.isBroken ? broken : flat, isBroken: part.isBroken)
      case .choice(let layouts):
        let mayBreak = isBehind && part.isBroken
        guard let layout = mayBreak ? layouts.last : layouts.first else { continue }
        push(layout, isBroken: mayBreak || layout.breaks)
      }
    }
    return false
  }
}
