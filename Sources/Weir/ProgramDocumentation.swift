import WeirIO
import WeirLang

extension ProgramFile {
  /// A path rather than the name of a module: it ends like a program, begins like a path, or leads to a file.
  package static func isPath(_ operand: String) -> Bool {
    operand.hasSuffix(ProgramFiles.ending) || operand.hasPrefix(".") || operand.hasPrefix("/")
      || HostProcess.isFile(operand)
  }

  /// What the program offers, with the types and effects that it leaves to inference.
  package var documentation: ModuleDocumentation {
    let source = result.sources.sources.first ?? Source(name: path, bytes: [])
    return ModuleDocumentation(source, inferred: result.signatures)
  }
}
