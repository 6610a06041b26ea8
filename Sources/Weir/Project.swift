import CWeirTOML
import WeirAI
import WeirCore
import WeirIO
import WeirRuntime

/// What the nearest `weir.toml` upwards (and an `ailang.toml` beside it) says: capabilities and providers.
package struct Project {
  /// The files that were read.
  package var files: [String] = []
  /// What programs below this folder may reach; nil = nothing was said.
  package var capabilities: [String]?
  package var providers: [ProviderConfig] = []
  /// Programs that may be started (`--process-allowlist`); nil = nothing was said.
  package var allowedProcesses: [String]?
  /// Variables that processes inherit although they look like secrets (`--process-env`).
  package var passedVariables: [String] = []
  /// Where streams are kept (`--store`), a folder from the file's own; nil = nothing was said.
  package var store: String?
  /// How often they are synchronised (`--store-sync`).
  package var storeSync: String?
  /// How long what ended runs have kept stays (`--keep`).
  package var keep: String?

  package static let fileName = "weir.toml"
  static let otherFileName = "ailang.toml"
  /// Folders looked at upwards.
  static let depthLimit = 64
  static let byteLimit = 1 << 20
  static let keys = ["caps", "ai_provider", "process_allowlist", "process_env", "store", "store_sync", "keep"]

  /// `explicit`: the file named by `--config`, which must exist.
  package static func load(near program: String, explicit: String?) throws(ProjectFailure) -> Project {
    var project = Project()
    if let explicit {
      try project.read(explicit)
      try project.checkFallbacks(explicit)
      return project
    }
    var folder = Path.folder(of: Path.absolute(program))
    for _ in 0..<depthLimit {
      let found = [fileName, otherFileName].map { Path.join(folder, $0) }.filter(HostProcess.isFile)
      for file in found { try project.read(file) }
      if let file = found.first { try project.checkFallbacks(file) }
      if !found.isEmpty || folder == "/" { break }
      folder = Path.folder(of: folder)
    }
    return project
  }

  private func checkFallbacks(_ path: String) throws(ProjectFailure) {
    do throws(ConfigFailure) {
      try ProviderConfigReader.checkFallbacks(providers)
    } catch {
      throw ProjectFailure(path, error.message, hint: error.hint)
    }
  }

  private mutating func read(_ path: String) throws(ProjectFailure) {
    let bytes: [UInt8]
    do throws(DiskFailure) {
      bytes = try HostProcess.read(path, limit: Self.byteLimit)
    } catch {
      throw ProjectFailure(path, error.message)
    }
    files.append(path)
    let table = try Self.parse(bytes, path)
    let isOurs = Path.name(of: path) != Self.otherFileName
    for member in table.members ?? [] {
      switch member.name {
      case "caps":
        guard let names = member.value.texts else {
          throw ProjectFailure(path, "caps must be a list of effect names", hint: "caps = [\"AI\", \"Net\"]")
        }
        capabilities = (capabilities ?? []) + names
      case "process_allowlist" where isOurs:
        guard let names = member.value.texts else {
          throw ProjectFailure(
            path, "process_allowlist must be a list of programs", hint: "process_allowlist = [\"echo\", \"git:status\"]"
          )
        }
        allowedProcesses = names
      case "process_env" where isOurs:
        guard let names = member.value.texts else {
          throw ProjectFailure(
            path, "process_env must be a list of variables", hint: "process_env = [\"GITHUB_TOKEN\"]")
        }
        passedVariables = names
      case "store" where isOurs:
        guard let text = member.value.string, !text.isEmpty else {
          throw ProjectFailure(path, "store must be memory or a folder", hint: "store = \".weir/streams\"")
        }
        let isFolder = text != "memory" && !text.contains(text: "://") && !text.hasPrefix("/")
        store = isFolder ? Path.join(Path.folder(of: path), text) : text
      case "store_sync" where isOurs:
        guard let text = member.value.string else {
          throw ProjectFailure(path, "store_sync must be a text", hint: "store_sync = \"100ms\"")
        }
        storeSync = text
      case "keep" where isOurs:
        guard let text = member.value.string else {
          throw ProjectFailure(path, "keep must be a text", hint: "keep = \"30d\", or \"forever\"")
        }
        keep = text
      case "ai_provider": break
      default:
        // An ailang.toml has tables of its own that are none of our business.
        guard isOurs else { continue }
        let near = Spelling.nearest(to: member.name, among: Self.keys).map { "did you mean \"\($0)\"?" }
        throw ProjectFailure(
          path, "unknown key \"\(member.name)\"", hint: near ?? "known keys: \(Self.keys.joined(separator: ", "))")
      }
    }
    let read: [ProviderConfig]
    do throws(ConfigFailure) {
      read = try ProviderConfigReader.read(document: table)
    } catch {
      throw ProjectFailure(path, error.message, hint: error.hint)
    }
    if let twice = read.first(where: { new in providers.contains { $0.name == new.name } }) {
      throw ProjectFailure(
        path, "ai_provider \"\(twice.name)\" is defined in \(files[0]) as well", hint: "rename or remove one of them")
    }
    providers += read
  }

  private static func parse(_ bytes: [UInt8], _ path: String) throws(ProjectFailure) -> JSONValue {
    var result = bytes.withUnsafeBytes { weir_toml_to_json($0.bindMemory(to: CChar.self).baseAddress, $0.count) }
    defer { weir_toml_free(&result) }
    guard let text = result.text else { throw ProjectFailure(path, "out of memory") }
    let out = UnsafeRawBufferPointer(start: text, count: result.length)
    guard result.error_line == 0 else {
      throw ProjectFailure(
        path, "line \(result.error_line), column \(result.error_column): \(String(decoding: out, as: UTF8.self))")
    }
    do throws(JSONFailure) {
      return try JSONValue.parse(Array(out))
    } catch {
      throw ProjectFailure(path, error.message)
    }
  }
}

extension JSONValue {
  /// A list of texts and nothing else.
  fileprivate var texts: [String]? {
    guard let items = array else { return nil }
    let texts = items.compactMap(\.string)
    return texts.count == items.count ? texts : nil
  }
}

extension ProcessAllowlist {
  /// What the names mean here and now: looked up in PATH, once. Blocks; for before the loop.
  package init(looking names: [String]) throws(AllowlistFailure) {
    let searchPath = ProcessEnvironment()["PATH"] ?? ""
    try self.init(names) { name in try? HostProcess.program(name, searchPath: searchPath) }
  }
}

package struct ProjectFailure: Failure {
  package var code: String { "BadConfiguration" }
  package var path: String
  package var problem: String
  package var hint: String?
  package var message: String { "\(path): \(problem)" }
  package init(_ path: String, _ problem: String, hint: String? = nil) {
    self.path = path
    self.problem = problem
    self.hint = hint
  }
}

/// Paths as texts: `/` joins, `.` and `..` are resolved without asking the disk.
package enum Path {
  package static func absolute(_ path: String) -> String {
    normalised(path.hasPrefix("/") ? path : join(HostProcess.currentDirectory, path))
  }

  /// Makes it the folder in which relative paths begin, for the whole process; tells why it cannot be.
  package static func enter(_ folder: String) -> String? { HostProcess.enter(folder) }

  package static func join(_ folder: String, _ name: String) -> String {
    folder.hasSuffix("/") ? folder + name : folder + "/" + name
  }

  package static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  package static func name(of path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

  package static func normalised(_ path: String) -> String {
    var parts: [Substring] = []
    for part in path.split(separator: "/") where part != "." {
      if part == "..", let last = parts.last, last != ".." {
        parts.removeLast()
      } else if part != ".." || !path.hasPrefix("/") {
        parts.append(part)
      }
    }
    return (path.hasPrefix("/") ? "/" : "") + parts.joined(separator: "/")
  }
}
