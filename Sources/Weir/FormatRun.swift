import WeirCore
import WeirIO
import WeirLang

/// `weir fmt` between disk and formatter: which files are meant, what each would become, writing it.
package struct FormatRun {
  package enum Outcome {
    case unchanged
    /// The new text; nothing is written yet.
    case changed(String)
    /// Rendered diagnostics; the file stays as it is.
    case unreadable(String)
    case refused
  }

  package static func format(_ name: String, _ bytes: [UInt8], color: Bool) -> Outcome {
    let source = Source(name: name, bytes: bytes)
    switch Formatter.format(source) {
    case .formatted(let text): return Array(text.utf8) == bytes ? .unchanged : .changed(text)
    case .unreadable(let diagnostics): return .unreadable(DiagnosticPrinter(source, color: color).text(diagnostics))
    case .refused: return .refused
    }
  }

  package static func read(_ path: String) throws(DiskFailure) -> [UInt8] {
    path == "-"
      ? try HostProcess.readAll(0, named: "<stdin>", limit: ProgramFile.byteLimit)
      : try HostProcess.read(path, limit: ProgramFile.byteLimit)
  }

  package static func write(_ path: String, _ text: String) throws(DiskFailure) {
    try HostProcess.replace(path, with: Array(text.utf8))
  }
}
