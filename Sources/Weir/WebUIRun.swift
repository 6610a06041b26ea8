import WeirCore
import WeirIO
import WeirNet
import WeirServe

/// Serves the chat page for servers that run elsewhere, until a signal ends it.
package struct WebUIRun {
  let backends: [String]
  let host: String
  let port: Int

  package init(backends: [String], host: String, port: Int) {
    self.backends = backends
    self.host = host
    self.port = port
  }

  package func run() throws -> Int {
    let loop = WeirIO.EventLoop()
    let world = RealWorld.make(loop: loop)
    let proxy = try WebUIProxy(backends: backends, world: world)
    let server = HTTPServer(world: world) { proxy.handle($0, $1) }
    try server.listen(SocketAddress(host: host, port: port))
    Terminal.talk(
      "weir: chat page for \(backends.joined(separator: ", ")) on http://\(host):\(server.address?.port ?? port)/\n")
    let signals = try Signals(loop, [.interrupt, .terminate]) { _ in
      server.close(grace: .seconds(1)) { loop.stop() }
    }
    loop.run()
    signals.cancel()
    return 0
  }
}
