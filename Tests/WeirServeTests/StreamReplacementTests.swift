import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// A stream that is deleted, and another one made in its name, while somebody reads: nobody goes on in the other one.
@Suite struct StreamReplacementTests {
  typealias B = StreamBench

  /// In one turn, so that nobody who waits is told of the moment in between.
  private func replace(_ bench: B, _ name: String, with items: [String], type: String = "text/plain") throws {
    let stream = try StreamName(name)
    bench.store.delete(stream) { _ in }
    bench.store.create(stream, StreamCreation(contentType: type, items: items.map { Array($0.utf8) })) { _ in }
    bench.loop.settle()
  }

  @Test func liveReadersDoNotGoOnInAnotherStream() throws {
    let bench = try B()
    bench.make("/streams/a", B.text, "one")
    let events = bench.ask("GET", "/streams/a?offset=-1&live=sse")
    let poll = bench.ask("GET", "/streams/a?offset=now&live=long-poll")
    let plain = bench.ask("GET", "/streams/a", [("Accept", "text/event-stream")])
    try replace(bench, "a", with: ["eins", "zwei"])
    #expect(events.isAborted && !events.text.contains(text: "zwei"))
    #expect(poll.status == 404)
    #expect(plain.isAborted && !plain.text.contains(text: "zwei"))
    #expect(bench.app.liveReaders.count == 0 && bench.app.fanout.feedCount == 0 && bench.store.watcherCount == 0)
    // Whoever comes afterwards reads it.
    #expect(bench.ask("GET", "/streams/a").text == "einszwei")
    #expect(bench.ask("GET", "/streams/a", [("Accept", "text/event-stream")]).text.contains(text: "zwei"))
  }

  /// Its reader is somewhere in a long history, with a full socket.
  @Test(arguments: ["&live=sse", ""]) func aSlowReaderDoesNotGoOnInAnotherStream(_ live: String) throws {
    let bench = try B()
    bench.make("/streams/a", B.text)
    let long = String(repeating: "old ", count: 25_000)
    for _ in 0..<20 { bench.add("/streams/a", long) }
    let headers = live.isEmpty ? [(name: "Accept", value: "text/event-stream")] : []
    let reader = bench.ask("GET", "/streams/a?offset=-1\(live)", headers, room: 1000)
    try replace(bench, "a", with: (0..<20).map { _ in long.replacing(text: "old", with: "new") })
    for _ in 0..<100 where !reader.isOver {
      reader.makeRoom(1 << 20)
      bench.loop.settle()
    }
    #expect(reader.isAborted && !reader.text.contains(text: "new"))
  }

  /// It is replaced between the question what it is and that for its items.
  @Test func anAnswerIsAboutOneStream() throws {
    let bench = try B(subscriptions: SubscriptionTests.options)
    bench.make("/streams/a", B.text, "one")
    for target in ["/streams/a?offset=-1", "/streams/a?offset=now", "/streams/a?offset=-1&live=long-poll"] {
      bench.faults.isHeld = true
      let answer = bench.ask("GET", target)
      try replace(bench, "a", with: ["{}"], type: "application/json")
      bench.faults.release()
      bench.loop.settle()
      #expect(answer.status == 404, "\(target)")
    }
  }
}
