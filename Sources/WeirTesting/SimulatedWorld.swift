import WeirCore

/// Every port of `World` over one virtual timeline and one seed (law 9): the same seed gives the same trace, event by
/// event. A failing simulation is repeated from the seed that `description` prints.
///
///     let simulation = SimulatedWorld(seed: seed, faults: .rough)
///     let server = Server(world: simulation.world) …
///     simulation.loop.run()
///     #expect(…, "\(simulation)")
package final class SimulatedWorld: CustomStringConvertible {
  package let seed: UInt64
  package let loop: SimulatedLoop
  package let network: SimulatedNetwork
  package let http: SimulatedHTTP
  package let disk: SimulatedDisk
  package let processes: SimulatedProcesses
  /// What the program under test draws from.
  package let random: SeededRandom
  package let console: RecordingConsole
  package let environment: FixedEnvironment
  package let trace: SimulationTrace

  package init(
    seed: UInt64, faults: SimulatedFaults = .calm, environment: [String: String] = [:],
    wallClock: Int64 = 1_767_225_600_000
  ) {
    self.seed = seed
    let source = SeededRandom(seed: seed)
    loop = SimulatedLoop(wallClock: wallClock)
    console = RecordingConsole(loop: loop)
    trace = SimulationTrace(loop: loop)
    network = SimulatedNetwork(loop: loop, random: source.fork(), faults: faults, trace: trace)
    http = SimulatedHTTP(loop: loop, random: source.fork(), faults: faults, trace: trace)
    disk = SimulatedDisk(loop: loop, random: source.fork(), faults: faults, trace: trace)
    random = source.fork()
    // Drawn last: what older seeds showed stays what it was.
    processes = SimulatedProcesses(loop: loop, random: source.fork(), faults: faults, trace: trace)
    self.environment = FixedEnvironment(environment)
  }

  package var world: World {
    World(
      loop: loop, network: network, http: http, disk: disk, processes: processes, random: random, console: console,
      environment: environment, signing: SimulatedSigning())
  }

  package var description: String { "seed \(seed) at \(loop.elapsed)\n\(trace.tail)" }
}

/// What happened at the ports, in order: a fingerprint of all of it and the last lines as text.
package final class SimulationTrace {
  /// Lines kept for a failure's message: about a screen.
  package static let tailLimit = 40

  private let loop: SimulatedLoop
  private var lines: [String] = []
  package private(set) var count = 0
  /// FNV-1a over every line: equal fingerprints mean equal runs.
  package private(set) var fingerprint: UInt64 = 0xcbf2_9ce4_8422_2325

  package init(loop: SimulatedLoop) { self.loop = loop }

  /// Tests may add lines of their own, so that what they saw is part of what must be equal.
  package func note(_ what: String) {
    let line = "\(loop.elapsed.nanoseconds / 1000) µs  \(what)"
    for byte in line.utf8 { fingerprint = (fingerprint ^ UInt64(byte)) &* 0x100_0000_01b3 }
    count += 1
    if lines.count == 2 * Self.tailLimit { lines.removeFirst(Self.tailLimit) }
    lines.append(line)
  }

  package var tail: String { lines.suffix(Self.tailLimit).joined(separator: "\n") }
}

/// Keeps what the program printed.
package final class RecordingConsole: Console {
  package private(set) var output = ""
  package private(set) var error = ""
  package private(set) var flushCount = 0
  /// Standard input: what was typed and not read yet, piece by piece.
  private var typed: [[UInt8]] = []
  private var isInputEnded = true
  /// Pieces that were handed out: what a test of backpressure counts.
  package private(set) var piecesRead = 0
  private var reading: Reading?
  private let loop: any Loop

  package init(loop: any Loop) { self.loop = loop }

  /// Lines that a program will read; then its input ends.
  package var input: [String] {
    get { typed.map { String(decoding: $0, as: UTF8.self) } }
    set { typed = newValue.map { Array(($0 + "\n").utf8) } }
  }

  /// Bytes as they arrive: from now on the input stays open until `endInput`.
  package func type(_ bytes: [UInt8]) {
    isInputEnded = false
    typed.append(bytes)
    reading?.deliver()
  }

  package func holdInputOpen() { isInputEnded = false }

  package func endInput() {
    isInputEnded = true
    reading?.deliver()
  }

  package func readInput(_ receive: @escaping ([UInt8]?) -> Void) -> any InputReading {
    let reading = Reading(self, receive)
    self.reading = reading
    reading.deliver()
    return reading
  }

  private final class Reading: InputReading {
    private unowned let console: RecordingConsole
    private var receive: (([UInt8]?) -> Void)?
    private var isUnderWay = false
    var isReading = true { didSet { deliver() } }

    init(_ console: RecordingConsole, _ receive: @escaping ([UInt8]?) -> Void) {
      self.console = console
      self.receive = receive
    }

    func cancel() { receive = nil }

    func deliver() {
      guard isReading, receive != nil, !isUnderWay, !console.typed.isEmpty || console.isInputEnded else { return }
      isUnderWay = true
      console.loop.soon { [self] in
        isUnderWay = false
        guard let receive else { return }
        guard !console.typed.isEmpty else {
          self.receive = nil
          return receive(nil)
        }
        console.piecesRead += 1
        receive(console.typed.removeFirst())
        deliver()
      }
    }
  }

  package func write(_ text: String, to stream: ConsoleStream) {
    switch stream {
    case .output: output += text
    case .error: error += text
    }
  }

  package func flush() { flushCount += 1 }
}

package final class FixedEnvironment: Environment {
  package var values: [String: String]
  package init(_ values: [String: String] = [:]) { self.values = values }
  package subscript(_ name: String) -> String? { values[name] }
  package var all: [EnvironmentVariable] { values.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }
}

/// Signatures that only a test can check: the hash of the public key and the message, twice.
package final class SimulatedSigning: Signing {
  package init() {}
  package func publicKey(seed: [UInt8]) -> [UInt8] { SHA256.hash(seed) }
  package func signature(of message: [UInt8], seed: [UInt8]) -> [UInt8] {
    let half = SHA256.hash(publicKey(seed: seed) + message)
    return half + half
  }
}
