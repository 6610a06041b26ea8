import WeirLang

/// The library modules that need more than the language: registered beside `Library.language`.
package enum RuntimeLibrary {
  package static var modules: [LibraryModule] {
    [
      ClockModule.module, RandomModule.module, FileModule.module, StreamModule.module, ProcessModule.module,
      AIModule.module, JSONCallModule.module, AgentModule.module, HTTPModule.module, PipelineModule.module,
      NetModule.module, StreamingModule.module,
    ]
  }
}

/// Functions that a module declares and this build cannot run, each called by its own name.
func absent(_ names: String...) -> [String: String] {
  Dictionary(names.map { ($0, "`\($0)`") }, uniquingKeysWith: { first, _ in first })
}
