import WeirCore

/// The name that was probably meant, among names that come in no order: the answer must not depend on a hash seed.
enum Suggestion {
  static func nearest(to name: String, among candidates: some Sequence<String>) -> String? {
    Spelling.nearest(to: name, among: candidates.filter { !$0.hasPrefix("_") }.sorted())
  }
}
