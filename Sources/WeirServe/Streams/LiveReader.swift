import WeirStore

/// Somebody who waits for what comes to a stream and is no reader of the fan-out: counted with those, and told when the
/// server stops.
protocol LiveReader: AnyObject {
  var stream: StreamName { get }
  func stop()
}

/// Those there are.
struct LiveReaders {
  private var readers: [ObjectIdentifier: any LiveReader] = [:]

  var count: Int { readers.count }
  mutating func enter(_ reader: any LiveReader) { readers[ObjectIdentifier(reader)] = reader }
  mutating func leave(_ reader: any LiveReader) { readers[ObjectIdentifier(reader)] = nil }
  func hasReader(of stream: StreamName) -> Bool { readers.values.contains { $0.stream == stream } }
  var all: [any LiveReader] { Array(readers.values) }
}

extension ServeApplication {
  func enter(_ reader: any LiveReader) { liveReaders.enter(reader) }
  func leave(_ reader: any LiveReader) { liveReaders.leave(reader) }
  var hasRoomForReader: Bool { fanout.readerCount + liveReaders.count < fanout.limits.readers }
}
