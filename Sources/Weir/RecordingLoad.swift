import WeirCore
import WeirFlow
import WeirIO

extension Recording {
  /// Reads a recording; blocks, so before anything runs.
  package static func load(_ path: String) throws -> Recording {
    try Recording(HostProcess.read(path, limit: byteLimit))
  }
}
