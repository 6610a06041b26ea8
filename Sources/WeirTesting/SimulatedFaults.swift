import WeirCore

/// What can go wrong in a simulation, and how often: probabilities from 0 to 1, and ranges that the seed draws from.
///
/// `calm` has only what every real network does (latency, cuts at any byte, short sends) and no failure; `rough` has
/// each fault now and then, so that a few hundred seeds meet every one of them.
package struct SimulatedFaults: Sendable {
  // Network
  package var latency: ClosedRange<Duration> = .microseconds(50) ... .milliseconds(5)
  /// Largest piece that arrives at once; the real loop reads 64 KiB.
  package var pieceLimit = 4096
  /// Bytes one direction of a connection holds: under way or not yet read.
  package var window = 65_536
  /// A `send` takes less than there is room for.
  package var shortSend = 0.1
  package var connectRefused = 0.0
  /// A connection attempt that nobody answers: it ends by its timeout.
  package var connectLost = 0.0
  /// For each piece: the connection breaks instead of delivering it.
  package var connectionReset = 0.0
  /// For each piece: it and what follows it wait for `stall` more.
  package var stalled = 0.0
  package var stall: ClosedRange<Duration> = .milliseconds(100) ... .seconds(20)

  // HTTP, where a peer is scripted rather than run
  package var httpRefused = 0.0
  /// For each chunk of a body: the response breaks off.
  package var httpReset = 0.0

  // Disk
  package var diskLatency: ClosedRange<Duration> = .microseconds(5) ... .microseconds(500)
  /// For each operation: it fails and has no effect (a failed `synchronize` loses what it should have kept).
  package var diskError = 0.0
  /// At a crash, for each write that was not synchronised: it is gone, or (`tornWrite`) only a part of it is there.
  package var lostWrite = 0.3
  package var tornWrite = 0.3

  package init() {}

  package static let calm = SimulatedFaults()

  package static let rough: SimulatedFaults = {
    var faults = SimulatedFaults()
    faults.connectRefused = 0.05
    faults.connectLost = 0.02
    faults.connectionReset = 0.01
    faults.stalled = 0.01
    faults.httpRefused = 0.05
    faults.httpReset = 0.02
    faults.diskError = 0.005
    return faults
  }()
}
