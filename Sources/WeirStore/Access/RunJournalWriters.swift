extension RunJournal {
  /// Who writes each stream of a run from some place on, as far as its journal says.
  ///
  /// A run may have a stream for each of very many items: those of one frame are found without looking at all.
  struct Writers {
    struct Writer {
      /// Nil: nobody who is known.
      var path: String?
      var from: UInt64
    }
    private var known: [String: Writer] = [:]
    /// Namespaces, by the path of each frame that their writer is in; the run's own is left out.
    private var byFrame: [String: Set<String>] = [:]

    /// Of a namespace; where nothing is known the run itself, from the start.
    subscript(namespace: String) -> Writer {
      get { known[namespace] ?? Writer(path: "", from: 0) }
      set { replace(namespace, newValue) }
    }

    /// Nobody writes it any more.
    mutating func forget(_ namespace: String) { replace(namespace, nil) }

    /// Namespaces whose writer is this frame, or one inside it.
    func inside(_ path: String) -> Set<String> { byFrame[path] ?? [] }

    private mutating func replace(_ namespace: String, _ new: Writer?) {
      let old = known[namespace]
      known[namespace] = new
      if old?.path == new?.path { return }
      for path in Self.frames(around: old?.path) {
        byFrame[path]?.remove(namespace)
        if byFrame[path]?.isEmpty == true { byFrame[path] = nil }
      }
      for path in Self.frames(around: new?.path) { byFrame[path, default: []].insert(namespace) }
    }

    /// `a`, `a/b` and `a/b/c` of `a/b/c`.
    private static func frames(around path: String?) -> [String] {
      guard let path, !path.isEmpty else { return [] }
      return path.indices.filter { path[$0] == "/" }.map { String(path[..<$0]) } + [path]
    }
  }
}
