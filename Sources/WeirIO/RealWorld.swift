import WeirCore

/// All ports over this machine, for one loop.
package enum RealWorld {
  /// Name lookups, files and programs that start wait in threads of their own: a dead name server holds up no disk. Every loop of
  /// the process uses the same.
  private static let names = ThreadPool(name: "weir-names")
  private static let files = ThreadPool(name: "weir-files")
  private static let starts = ThreadPool(name: "weir-start")

  /// `SSL_CERT_FILE` names the certificates to trust, for servers reached by TLS and by HTTP alike.
  package static func make(loop: EventLoop) -> World {
    let environment = ProcessEnvironment()
    let console = ProcessConsole(loop)
    let resolver = Resolver(loop, names)
    return World(
      loop: loop,
      network: SocketNetwork(loop, resolver: resolver) { console.write("weir: \($0)\n", to: .error) },
      http: CurlTransport(
        loop, resolver: resolver, proxies: ProxySettings(environment), trustFile: environment["SSL_CERT_FILE"]),
      disk: FileDisk(loop, files),
      processes: SystemProcesses(loop, threads: starts),
      random: SystemRandom(),
      console: console,
      environment: environment,
      signing: OpenSSLSigning())
  }
}
