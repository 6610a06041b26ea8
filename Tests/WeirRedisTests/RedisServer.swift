import Foundation
import Glibc
import Synchronization
import WeirCore
import WeirIO

/// A real redis-server of a test's own: on a free port, in a folder that goes with it, without anything to save unless asked for.
///
/// It runs below a shell that kills it when this process ends, however that happens.
final class RedisServer {
  /// Where it is installed; nil: the tests that need one are skipped.
  static let path: String? = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map { $0 + "/redis-server" }
    .first { FileManager.default.isExecutableFile(atPath: $0) }
  static let isMissing = "redis-server is not installed: apt-get install redis-server (scripts/dependencies --tests)"

  let port: Int
  private let folder: String
  private let options: [String]
  private var process: Process?
  private var input = Pipe()
  private(set) var pid: pid_t = 0

  init(_ options: [String] = []) throws {
    folder = NSTemporaryDirectory() + "weir-redis-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    port = Self.freePort()
    self.options = options
    try start()
  }

  deinit {
    kill()
    try? FileManager.default.removeItem(atPath: folder)
  }

  func url(_ query: String = "", user: String = "", database: Int = 0) -> String {
    "redis://\(user)127.0.0.1:\(port)/\(database)\(query)"
  }

  /// Returns at once: whoever connects waits for it.
  func start() throws {
    let process = Process()
    input = Pipe()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments =
      ["-c", "\"$@\" </dev/null >>log 2>&1 & echo $!; cat >/dev/null; kill -9 $! 2>/dev/null; wait", "sh"]
      + [
        Self.path ?? "redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--dir", folder,
        "--logfile", "",
      ] + options
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    var line = Data()
    while let byte = try output.fileHandleForReading.read(upToCount: 1), byte != Data([10]) { line += byte }
    pid = pid_t(String(decoding: line, as: UTF8.self)) ?? 0
    self.process = process
  }

  /// As a power cut would; returns when it is gone.
  func kill() {
    guard let process else { return }
    if pid > 0 { _ = Glibc.kill(pid, SIGKILL) }
    try? input.fileHandleForWriting.close()
    process.waitUntilExit()
    self.process = nil
  }

  func pause() { _ = Glibc.kill(pid, SIGSTOP) }
  func resume() { _ = Glibc.kill(pid, SIGCONT) }

  /// Ports that were given once: two tests that begin together would find the same one free, and share one server.
  private static let taken = Mutex<Set<Int>>([])

  static func freePort() -> Int {
    let loop = EventLoop()
    let world = RealWorld.make(loop: loop)
    // Below those that the system gives to connections: one of them would have it before whoever asks here listens.
    while true {
      let port = Int.random(in: 20_000..<32_000)
      let listener = try? world.network.listen(
        SocketAddress(host: "127.0.0.1", port: port), tls: nil, accept: { $0.close() })
      listener?.close()
      if listener != nil, taken.withLock({ $0.insert(port).inserted }) { return port }
    }
  }
}
