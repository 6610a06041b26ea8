import WeirCore

/// One end of a simulated connection. What is sent goes into the pipe as pieces with arrival times; the other end's
/// pump hands over what has arrived in cuts of its own, so pieces are both split and joined on the way.
///
/// It holds to the port's contract as the real stream does: nothing is called from inside a call of the owner, nothing
/// after `close`, room is announced once, what was taken before a `close` still arrives.
package final class SimulatedByteStream: ByteStream {
  package let label: String
  package let peer: SocketAddress
  package var handler: (any ByteStreamHandler)? { didSet { if handler != nil { pumpSoon() } } }
  package var isReading = true { didSet { if isReading, !oldValue { pumpSoon() } } }
  package private(set) var bytesSent = 0
  package private(set) var bytesReceived = 0

  /// Let go when both ends are closed: until then what arrives at a closed end must be answered.
  var other: SimulatedByteStream?
  private let sends: SimulatedPipe
  private let receives: SimulatedPipe
  private weak var network: SimulatedNetwork?
  private var state = State.open
  private var isSendingFinished = false
  private var isEndSeen = false
  private var wantsRoom = false
  private var isPumping = false

  private enum State {
    case open
    /// Lost, and the handler will be told, or was.
    case failed
    case closed
  }

  init(label: String, peer: SocketAddress, sends: SimulatedPipe, receives: SimulatedPipe, network: SimulatedNetwork) {
    self.label = label
    self.peer = peer
    self.sends = sends
    self.receives = receives
    self.network = network
  }

  // MARK: Sending

  package func send(_ bytes: Span<UInt8>) -> Int {
    precondition(!isSendingFinished, "\(label) sends after finishSending")
    guard state == .open, let network, bytes.count > 0 else { return bytes.count }
    let room = max(0, network.faults.window - sends.held)
    var taken = min(room, bytes.count)
    if taken > 0, network.random.chance(network.faults.shortSend) { taken = network.random.int(0...taken) }
    if taken > 0 {
      let piece = [UInt8](unsafeUninitializedCapacity: taken) { buffer, count in
        for i in 0..<taken { buffer.initializeElement(at: i, to: bytes[i]) }
        count = taken
      }
      bytesSent += taken
      network.trace.note("\(label) sends \(taken) of \(bytes.count)")
      launch(piece)
    }
    if taken < bytes.count {
      wantsRoom = true
      // With room left there is no reader to announce it: the cut was the simulation's.
      if taken < room || sends.held == 0 { announceRoom() }
    }
    return taken
  }

  private func launch(_ piece: [UInt8]) {
    guard let network else { return }
    if network.random.chance(network.faults.connectionReset) {
      sends.held += piece.count
      travel { $0.breakOff() }
      return
    }
    if network.random.chance(network.faults.stalled) {
      sends.lastArrival = max(sends.lastArrival, network.loop.now) + network.random.duration(network.faults.stall)
    }
    sends.held += piece.count
    travel { $0.arrived(piece) }
  }

  /// Something goes to the other end, after all that went before it.
  private func travel(_ arrive: @escaping (SimulatedByteStream) -> Void) {
    guard let network, let other else { return }
    let arrival = max(network.loop.now + network.random.duration(network.faults.latency), sends.lastArrival)
    sends.lastArrival = arrival
    // Held strongly: what the kernel has taken is delivered even if this end is closed and forgotten.
    _ = network.loop.after(arrival - network.loop.now) { arrive(other) }
  }

  private func announceRoom() {
    guard wantsRoom, let network else { return }
    _ = network.loop.after(network.random.duration(network.faults.latency)) { [weak self] in
      guard let self, self.state == .open, self.wantsRoom, let network = self.network,
        self.sends.held < network.faults.window
      else { return }
      self.wantsRoom = false
      self.handler?.byteStreamBecameWritable()
    }
  }

  package func finishSending() {
    guard state == .open, !isSendingFinished else { return }
    isSendingFinished = true
    travel { $0.endArrived() }
  }

  // MARK: Receiving

  private func arrived(_ piece: [UInt8]) {
    switch state {
    case .open:
      receives.arrived.append(contentsOf: piece)
      pumpSoon()
    case .closed:
      // As a kernel answers data for a socket that is gone.
      receives.held -= piece.count
      travel { $0.breakOffAfterData() }
    case .failed: receives.held -= piece.count
    }
  }

  private func endArrived() {
    receives.isEnded = true
    pumpSoon()
  }

  private func pumpSoon() {
    guard !isPumping, state == .open, let network else { return }
    isPumping = true
    network.loop.soon { [weak self] in
      self?.isPumping = false
      self?.pump()
    }
  }

  /// Hands over one piece, or the end.
  private func pump() {
    guard state == .open, let network else { return }
    guard isReading, let handler else { return receives.isBroken ? failed() : () }
    let waiting = receives.arrived.count - receives.read
    if waiting > 0 {
      let count = network.random.int(1...min(waiting, max(1, network.faults.pieceLimit)))
      let piece = Array(receives.arrived[receives.read..<(receives.read + count)])
      receives.take(count)
      bytesReceived += count
      network.trace.note("\(label) receives \(count)")
      other?.announceRoom()
      handler.byteStreamReceived(piece.span)
      pumpSoon()
    } else if receives.isEnded, !isEndSeen {
      isEndSeen = true
      network.trace.note("\(label) sees the end")
      pumpSoon()
      handler.byteStreamEnded()
    } else if receives.isBroken {
      failed()
    }
  }

  // MARK: Ending

  package func close() {
    guard state != .closed else { return }
    if state == .open {
      finishSending()
      // Nobody will make room for the sender of what lies here unread.
      if receives.arrived.count > receives.read { travel { $0.breakOffAfterData() } }
    }
    end(.closed)
  }

  package func reset() {
    guard state != .closed else { return }
    if state == .open { travel { $0.failed() } }
    end(.closed)
  }

  /// The connection breaks under both ends.
  package func breakOff() {
    guard state == .open else { return }
    travel { $0.failed() }
    failed()
  }

  /// The other end was closed and will read no more: what it sent before comes first.
  private func breakOffAfterData() {
    receives.isBroken = true
    pumpSoon()
  }

  private func failed() {
    guard state == .open else { return }
    network?.trace.note("\(label) fails")
    state = .failed
    let handler = handler
    network?.loop.soon { [self] in
      guard state == .failed else { return }
      end(.closed)
      handler?.byteStreamFailed(.reset)
    }
  }

  private func end(_ state: State) {
    self.state = state
    handler = nil
    network?.closed(self)
    if let other, other.state == .closed {
      other.other = nil
      self.other = nil
    }
  }
}

/// One direction of a connection.
final class SimulatedPipe {
  /// Bytes taken from the sender that the receiver has not read: what the window bounds.
  var held = 0
  var lastArrival = Instant(nanoseconds: 0)
  var arrived: [UInt8] = []
  /// How far `arrived` has been handed over.
  var read = 0
  var isEnded = false
  var isBroken = false

  func take(_ count: Int) {
    read += count
    held -= count
    if read == arrived.count {
      arrived.removeAll(keepingCapacity: true)
      read = 0
    } else if read > 1 << 20 {
      arrived.removeFirst(read)
      read = 0
    }
  }
}
