import WeirCore
import WeirStore

/// How long what ended runs have kept stays in the store (`--keep`): their answers, the streams that they wrote by name, and
/// their journals, until nobody has used them for that long. A run that has not ended keeps everything. What an agent remembers
/// of a conversation is the session's, and not the run's.
package struct RunRetention: Equatable, Sendable {
  /// Of what the program does itself (`weir run`). Nil: for ever.
  package var own: StreamLifetime?
  /// Of its workflows' runs.
  package var served: StreamLifetime?

  package init(own: StreamLifetime? = nil, served: StreamLifetime? = nil) {
    self.own = own
    self.served = served
  }

  /// What is said when nobody says anything. A server makes streams with every request, unattended and without end, and nobody looks at
  /// one after a month; what somebody runs by hand is little, and its history is what `weir runs` is for.
  package static let usual = RunRetention(served: .idle(seconds: 30 * 24 * 3600))

  package static let forever = "forever"
  package static let variable = "WEIR_KEEP"

  /// `forever`, or a time from one second on; a part of a second counts as one. Nil: it is neither.
  package init?(text: String) {
    if text == Self.forever {
      self.init()
      return
    }
    guard let time = Duration(text: text), time >= .seconds(1) else { return nil }
    let lifetime = StreamLifetime.idle(seconds: (time.milliseconds + 999) / 1000)
    self.init(own: lifetime, served: lifetime)
  }
}
