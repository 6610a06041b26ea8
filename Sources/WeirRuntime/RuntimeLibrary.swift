import WeirLang

/// The library modules that need more than the language: registered beside `Library.language`.
package enum RuntimeLibrary {
  package static var modules: [LibraryModule] {
    [StreamModule.module, AIModule.module, AgentModule.module, HTTPModule.module]
  }
}
