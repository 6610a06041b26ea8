import WeirCore
import WeirIO

/// The programs that an operand of the command line means: a file as it is, of a folder every `.weir` below it.
package struct ProgramFiles {
  /// Folders inside each other.
  package static let depthLimit = 64
  package static let ending = ".weir"

  private var visited: Set<[UInt64]> = []
  private var found: [String] = []

  /// In order of their names. Names that begin with a dot are left out, and so is what is neither file nor folder (a pipe
  /// would be waited for). A folder is walked once, by whatever links it is reached, so loops of links end.
  package static func named(_ path: String) throws(DiskFailure) -> [String] {
    guard HostProcess.isFolder(path) else { return [path] }
    var files = ProgramFiles()
    try files.walk(path, depth: 0)
    return files.found
  }

  private mutating func walk(_ folder: String, depth: Int) throws(DiskFailure) {
    guard depth < Self.depthLimit else {
      throw .other(folder, "more than \(Self.depthLimit) folders inside each other")
    }
    guard let identity = HostProcess.identity(folder), visited.insert(identity).inserted else { return }
    for name in try HostProcess.list(folder) where !name.hasPrefix(".") {
      let inner = folder == "." ? name : Path.join(folder, name)
      switch HostProcess.kind(inner) {
      case .folder: try walk(inner, depth: depth + 1)
      // A link to nowhere is somebody's mistake: reading it says so.
      case .file, .missing: if name.hasSuffix(Self.ending) { found.append(inner) }
      case .other: continue
      }
    }
  }
}
