import WeirCore
import WeirFlow

/// A connection out of a recording: its events come as they came, what is sent to it goes nowhere.
final class ReplayedConnection: StreamConnection {
  let events: EventQueue
  var onOver: (() -> Void)?
  private(set) var status = StreamStatus.open

  init(_ events: EventQueue) {
    self.events = events
    events.onArrival = { [weak self] event in
      switch event {
      case nil, .closed: self?.over()
      default: break
      }
    }
  }

  func transmit(_ message: StreamMessage, _ answer: @escaping (StreamErrorKind?) -> Void) {
    answer(status == .open ? nil : .connectionFailed("the connection is closed"))
  }

  func close() { over() }

  private func over() {
    status = .closed
    onOver.take()?()
  }
}
