/// Finding and replacing a piece of text, byte for byte.
///
/// The standard library's own (`firstRange(of:)`, `contains(_: some StringProtocol)`, `replacing(_:with:)`) come with a regex
/// engine: more than a megabyte of every binary. The build leaves that module out, so those names do not exist here.
extension StringProtocol {
  /// Where `text` stands first, nil when it does not. An empty text stands at the start.
  package func range(ofText text: some StringProtocol) -> Range<Index>? {
    let wanted = Array(text.utf8)
    guard let first = wanted.first else { return startIndex..<startIndex }
    let bytes = utf8
    var from = bytes.startIndex
    while let start = bytes[from...].firstIndex(of: first) {
      let tail = bytes[start...]
      if tail.starts(with: wanted) { return start..<bytes.index(start, offsetBy: wanted.count) }
      from = bytes.index(after: start)
    }
    return nil
  }

  package func contains(text: some StringProtocol) -> Bool { range(ofText: text) != nil }

  /// Every `text` from the left, none inside another, gives way to `replacement`. An empty text stands nowhere.
  package func replacing(text: some StringProtocol, with replacement: some StringProtocol) -> String {
    var out = ""
    var rest = self[...]
    while !text.isEmpty, let found = rest.range(ofText: text) {
      out += rest[..<found.lowerBound]
      out += replacement
      rest = rest[found.upperBound...]
    }
    return out + rest
  }
}
