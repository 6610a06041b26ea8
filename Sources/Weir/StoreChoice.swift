import WeirCore
import WeirIO
import WeirRedis
import WeirStore

/// Where streams are kept and what an acknowledged append survives, as the command line, the environment and weir.toml say.
package struct StoreOptions: Sendable {
  package var choice: StoreChoice
  package var synchronization = FileStreamStore.Synchronization.always

  package init(_ choice: StoreChoice = .memory, synchronization: FileStreamStore.Synchronization = .always) {
    self.choice = choice
    self.synchronization = synchronization
  }

  /// The store, opened at its first use.
  package func open(in world: World) -> any StreamStore { choice.open(in: world, synchronization: synchronization) }

  /// The store for looking: a folder is read beside whoever writes to it, nothing is made, and no lifetime is renewed.
  package func openForReading(in world: World) -> any StreamStore {
    DeferredStore(isExclusive: false) { [choice] answer in
      switch choice {
      case .memory: answer(.success(choice.open(in: world, synchronization: .always)))
      case .folder(let path):
        FileStreamStore.follow(directory: path, disk: world.disk, loop: world.loop) { result in
          answer(result.map { $0 })
        }
      case .redis(let url):
        RedisStreamStore.open(url: url, world: world) { result in
          if case .success(let store) = result { store.isReadingUse = false }
          answer(result.map { $0 })
        }
      }
    }
  }

  /// Nobody has kept anything there yet.
  package var isMissing: Bool {
    if case .folder(let path) = choice { !HostProcess.isFolder(path) } else { false }
  }
}

package enum StoreChoice: Equatable, Sendable {
  /// As long as the process lives.
  case memory
  case folder(String)
  /// A Redis, by its URL, for more than one machine.
  case redis(String)

  package static let usualFolder = ".weir/streams"
  package static let variable = "WEIR_STORE"

  package struct BadChoice: Failure, Equatable {
    package var code: String { "BadStore" }
    package var message: String
    package var hint: String?
  }

  /// `memory`, a folder, or the URL of a Redis.
  package init(_ text: String) throws(BadChoice) {
    if text == "memory" {
      self = .memory
      return
    }
    guard !text.isEmpty, !text.utf8.contains(0) else {
      throw BadChoice(message: "\"\(text)\" is no store", hint: "memory, or a folder such as \(Self.usualFolder)")
    }
    if let mark = text.range(ofText: "://") {
      let scheme = text[..<mark.lowerBound]
      guard ["redis", "rediss"].contains(scheme.lowercased()) else {
        throw BadChoice(
          message: "there is no store of the kind \"\(scheme)\"",
          hint: "memory, a folder such as \(Self.usualFolder), or redis://host")
      }
      do throws(StoreFailure) {
        _ = try RedisAddress(text)
      } catch {
        throw BadChoice(message: error.message, hint: error.hint)
      }
      self = .redis(text)
      return
    }
    guard text != "~", !text.hasPrefix("~/") else {
      throw BadChoice(message: "\"\(text)\" is no store: only a shell knows what ~ is", hint: "write the whole path")
    }
    self = .folder(text)
  }

  fileprivate func open(
    in world: World, synchronization: FileStreamStore.Synchronization
  ) -> any StreamStore {
    switch self {
    case .memory:
      var limits = MemoryStreamStore.Limits()
      limits.retention = .dropOldest
      return MemoryStreamStore(loop: world.loop, limits: limits)
    case .folder(let path):
      return DeferredStore(isExclusive: true) { answer in
        Self.makeFolders(above: path, world.disk) { failure in
          if let failure { return answer(.failure(StoreFailure(failure, opening: path))) }
          var limits = FileStreamStore.Limits()
          // The rest is for connections.
          limits.openLimit = min(max(64, HostProcess.descriptorLimit / 4), 4096)
          FileStreamStore.open(
            directory: path, disk: world.disk, loop: world.loop, synchronization: synchronization, limits: limits
          ) { result in
            if case .success(let store) = result {
              store.onTrouble = { [console = world.console] in console.write("weir: \($0)\n", to: .error) }
            }
            answer(result.map { $0 })
          }
        }
      }
    case .redis(let url):
      return DeferredStore(isExclusive: false) { answer in
        RedisStreamStore.open(url: url, world: world) { result in answer(result.map { $0 }) }
      }
    }
  }

  /// The folders above it, from the top.
  static func makeFolders(above path: String, _ disk: any Disk, _ answer: @escaping (DiskFailure?) -> Void) {
    var parents: [String] = []
    var folder = Path.folder(of: path)
    while !folder.isEmpty, folder != "/", folder != ".", parents.count < 64 {
      parents.insert(folder, at: 0)
      folder = Path.folder(of: folder)
    }
    func next(_ rest: ArraySlice<String>) {
      guard let folder = rest.first else { return answer(nil) }
      disk.makeDirectory(folder, isPrivate: true) { failure in
        // Made where it is missing; what is wrong with one that is there shows when it is used.
        if let failure { return failure.code == "FileExists" ? next(rest.dropFirst()) : answer(failure) }
        disk.synchronizeDirectory(Path.folder(of: folder)) { failure in
          if let failure { answer(failure) } else { next(rest.dropFirst()) }
        }
      }
    }
    next(parents[...])
  }
}
