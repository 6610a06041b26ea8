// What parsing server-sent events costs, beside copying the same bytes: one JSON line for each shape of stream.
//
// `visit` is the parser alone (data handed over in place), `events` makes a StreamEvent with its text of each, as a
// connection does. Chunks are what the transport hands over. The best of several rounds counts: noise only adds.
import WeirCore
import WeirWire

struct Shape {
  var name: String
  var event: String
  var chunk = 65_536
}

let delta =
  #"data: {"id":"chatcmpl-9","object":"chat.completion.chunk","created":1700000000,"model":"gpt","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}"#
let shapes = [
  Shape(name: "tiny, 12 B", event: "data: tick\n\n"),
  Shape(name: "token deltas, 170 B", event: delta + "\n\n"),
  Shape(name: "named events with id, 190 B", event: "event: delta\nid: 12345\n" + delta + "\n\n"),
  Shape(name: "token deltas with CRLF", event: delta + "\r\n\r\n"),
  Shape(name: "4 KiB events", event: "data: " + String(repeating: "x", count: 4_096) + "\n\n"),
  Shape(
    name: "1 MiB events, cut every 100 KB", event: "data: " + String(repeating: "x", count: 1 << 20) + "\n\n",
    chunk: 102_400),
]

nonisolated func best(of rounds: Int, _ run: () -> Void) -> Double {
  let clock = ContinuousClock()
  return (0..<rounds).map { _ in Double(clock.measure(run).nanoseconds) / 1e9 }.min() ?? 0
}

nonisolated func parse(_ bytes: [UInt8], chunk: Int, _ visit: (SSEHead, Span<UInt8>) -> Void) {
  var parser = SSEParser()
  var at = 0
  while at < bytes.count {
    let end = min(at + chunk, bytes.count)
    do throws(SSEFailure) {
      try parser.parse(bytes.span.extracting(at..<end), visit)
    } catch {
      preconditionFailure("\(error)")
    }
    at = end
  }
}

nonisolated func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }

/// Not at the top level: globals of a main file belong to the main actor, and every closure would ask whether it is there.
nonisolated func measure(_ shape: Shape, byteCount: Int, rounds: Int) {
  let one = Array(shape.event.utf8)
  let wanted = max(1, byteCount / one.count)
  var bytes: [UInt8] = []
  bytes.reserveCapacity(wanted * one.count)
  for _ in 0..<wanted { bytes += one }

  var copy = [UInt8](repeating: 0, count: shape.chunk)
  let copying = best(of: rounds) {
    var at = 0
    while at < bytes.count {
      let count = min(shape.chunk, bytes.count - at)
      bytes.withUnsafeBytes { source in
        copy.withUnsafeMutableBytes { $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[at..<(at + count)])) }
      }
      at += count
    }
  }
  var seen = 0
  let visiting = best(of: rounds) {
    seen = 0
    parse(bytes, chunk: shape.chunk) { _, data in seen += data.count > 0 ? 1 : 0 }
  }
  precondition(seen == wanted, "every event was seen")
  var size = 0
  let making = best(of: rounds) {
    size = 0
    parse(bytes, chunk: shape.chunk) { head, data in
      let text = data.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
      size += StreamEvent.sse(type: head.type, data: text).size
    }
  }
  precondition(size > 0)
  let gigabytes = Double(bytes.count) / 1e9
  print(
    #"{"shape":"\#(shape.name)","memcpy_gb_s":\#(rounded(gigabytes / copying)),"visit_gb_s":\#(rounded(gigabytes / visiting)),"events_gb_s":\#(rounded(gigabytes / making)),"ns_per_event":\#(rounded(making * 1e9 / Double(wanted)))}"#
  )
}

for shape in shapes { measure(shape, byteCount: 64 << 20, rounds: 7) }
