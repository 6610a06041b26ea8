import Testing
import WeirCore
import WeirTesting

@testable import WeirRuntime

/// Workflows that return a value: their parameters of every type over HTTP, and what failing does.
@Suite struct ValueWorkflowTests {
  static let program = """
    type Point = {x: int, y?: int}
    type Color = Red | Rgb(int, int, int)

    func shift() -> int { 40 + 2 }

    @post("/text")   workflow Text(v: string) -> string { "<${v}>" }
    @post("/int")    workflow Int(v: int) -> int { v + 1 }
    @post("/float")  workflow Float(v: float) -> float { v * 2.0 }
    @post("/bool")   workflow Bool(v: bool) -> bool { not v }
    @post("/bytes")  workflow Bytes(v: bytes) -> int { len(v) }
    @post("/json")   workflow Any(v: Json) -> Json { v }
    @post("/list")   workflow Ints(v: [int]) -> int { len(v) }
    @post("/map")    workflow Of(v: Map[string, int]) -> Map[string, int] { v }
    @post("/option") workflow Maybe(v: int?) -> string { match v { Some(n) => "some ${n}", None => "none" } }
    @post("/record") workflow Record(v: Point) -> Point { v }
    @post("/sum")    workflow Sum(v: Color) -> Color { v }
    @post("/points") workflow Points(v: [Point]) -> int { len(v) }
    @post("/preset") workflow Preset(v: int = shift(), name: string = "n") -> string { "${v} ${name}" }
    @get("/get")     workflow Get(v: int, w: [string]) -> string { "${v} ${w}" }
    @post("/divide") workflow Divide(v: int) -> int { 10 / v }
    @post("/deep")   workflow Deep(v: int) -> int { if v == 0 then 0 else 1 + Deep(v - 1) }
    @post("/unit")   workflow Nothing() -> unit { () }
    """

  static let cases: [(path: String, body: String, status: Int, answer: String)] = [
    ("/text", #"{"v":"a\"b"}"#, 200, #""<a\"b>""#),
    ("/text", #"{"v":1}"#, 400, "BadArgument"),
    ("/text", #"{}"#, 400, "MissingArgument"),
    ("/text", #"{"v":null}"#, 400, "BadArgument"),
    ("/text", "{", 400, "BadBody"),
    ("/int", #"{"v":41}"#, 200, "42"),
    ("/int", #"{"v":"41"}"#, 400, "BadArgument"),
    ("/int", #"{"v":1.5}"#, 400, "BadArgument"),
    ("/float", #"{"v":2}"#, 200, "4.0"),
    ("/float", #"{"v":0.25}"#, 200, "0.5"),
    ("/bool", #"{"v":true}"#, 200, "false"),
    ("/bytes", #"{"v":"aGk="}"#, 200, "2"),
    ("/bytes", #"{"v":"%%"}"#, 400, "BadArgument"),
    ("/json", #"{"v":{"a":[1,null,"x"]}}"#, 200, #"{"a":[1,null,"x"]}"#),
    ("/list", #"{"v":[1,2,3]}"#, 200, "3"),
    ("/list", #"{"v":[1,"2"]}"#, 400, "BadArgument"),
    ("/map", #"{"v":{"b":1,"a":2}}"#, 200, #"{"b":1,"a":2}"#),
    ("/map", #"{"v":{"b":"x"}}"#, 400, "BadArgument"),
    ("/option", #"{"v":7}"#, 200, #""some 7""#),
    ("/option", #"{"v":null}"#, 200, #""none""#),
    ("/option", #"{}"#, 200, #""none""#),
    ("/option", #"{"v":"7"}"#, 400, "BadArgument"),
    ("/record", #"{"v":{"x":1}}"#, 200, #"{"x":1,"y":null}"#),
    ("/record", #"{"v":{"x":1,"y":2}}"#, 200, #"{"x":1,"y":2}"#),
    ("/record", #"{"v":{"y":2}}"#, 400, "v.x: expected a whole number, found nothing"),
    ("/record", #"{"v":{"x":1,"z":2}}"#, 400, "v.z"),
    ("/record", #"{"v":[1]}"#, 400, "BadArgument"),
    ("/sum", #"{"v":"Red"}"#, 200, #""Red""#),
    ("/sum", #"{"v":{"Rgb":[1,2,3]}}"#, 200, #"{"Rgb":[1,2,3]}"#),
    ("/sum", #"{"v":"Blue"}"#, 400, "BadArgument"),
    ("/points", #"{"v":[{"x":1},{"x":2}]}"#, 200, "2"),
    ("/points", #"{"v":[{"x":1},{"x":"2"}]}"#, 400, "v[1].x"),
    ("/preset", "{}", 200, #""42 n""#),
    ("/preset", #"{"v":1,"name":"m"}"#, 200, #""1 m""#),
    ("/preset", #"{"v":null}"#, 200, #""42 n""#),
    ("/unit", "{}", 200, "null"),
  ]

  @Test func argumentsOfEveryType() throws {
    let bench = try Bench(Self.program).serve()
    for (path, body, status, answer) in Self.cases {
      let before = bench.runs.count
      let client = bench.post(path, body)
      let text = String(decoding: client.body, as: UTF8.self)
      #expect(client.status == status, "\(path) \(body): \(text)")
      if status == 200 {
        #expect(text == answer, "\(path) \(body)")
      } else {
        #expect(text.contains(answer), "\(path) \(body): \(text)")
        #expect(client.json?["error"]?["message"]?.string?.isEmpty == false, "\(path) \(body)")
        #expect(bench.runs.count == before, "\(path) \(body): nothing runs on a bad request")
      }
    }
    #expect(bench.errors.contains("serving 17 workflows on http://127.0.0.1:8080"))
    bench.expectQuiet()
  }

  @Test func queriesAreReadAsTheirTypes() throws {
    let bench = try Bench(Self.program).serve()
    let client = bench.ask("GET", "/get?v=5&w=a&w=b%20c")
    #expect(String(decoding: client.body, as: UTF8.self) == #""5 [\"a\", \"b c\"]""#)
    #expect(bench.ask("GET", "/get?v=x&w=a").status == 400)
    #expect(bench.ask("GET", "/text").status == 405)
    #expect(bench.ask("GET", "/nothing").status == 404)
  }

  @Test func aTrapEndsItsRunAndTheServerLives() throws {
    let bench = try Bench(Self.program).serve()
    let client = bench.post("/divide", #"{"v":0}"#)
    #expect(client.status ?? 0 >= 500)
    #expect(client.json?["error"]?["code"]?.string == "DivisionByZero")
    #expect(bench.errors.contains("DivisionByZero: division by zero"))
    let events = bench.events(bench.runs[0])
    #expect(events.ends == [.error] && events.failure?.code == "DivisionByZero")
    #expect(bench.post("/deep", #"{"v":1000000}"#).json?["error"]?["code"]?.string == "TooDeep")
    #expect(String(decoding: bench.post("/divide", #"{"v":5}"#).body, as: UTF8.self) == "2")
    #expect(bench.exits.isEmpty)
    bench.expectQuiet()
  }

  @Test func aRunawayWorkflowStarvesNobodyAndCanBeStopped() throws {
    let bench = try Bench(
      """
      @post("/spin") workflow Spin() -> int { var n = 0; while true { n = n + 1; if n > 1_000_000 { n = 0 } }; n }
      @post("/quick") workflow Quick() -> int { 1 }
      """)
    bench.serve()
    let spin = bench.instance.declared[0]
    let quick = bench.instance.declared[1]
    var ids: [String] = []
    for workflow in [spin, quick] {
      bench.instance.runs.start(workflow, arguments: []) { _, done in
        done(nil)
      } answer: { result in
        if case .success(let run) = result { ids.append(run.id) }
      }
    }
    // Virtual time stands still while a fiber computes: turns are all there is.
    var turns = 0
    _ = bench.simulation.loop.run {
      turns += 1
      return turns > 4
    }
    #expect(bench.instance.runs.count == 1, "the quick one is done")
    bench.instance.runs.stop(run: ids[0])
    bench.settle()
    let ends = Set(bench.runs.flatMap { bench.events($0).ends })
    #expect(ends == [.aborted, .completed])
    bench.expectQuiet()
  }

  @Test func whatHasNoJSONFormIsAnErrorOfTheProgram() throws {
    let bench = try Bench(Self.program + "\n@post(\"/f\") workflow F() -> int -> int { (x) => x }\n").serve()
    let client = bench.post("/f", "{}")
    #expect(client.json?["error"]?["code"]?.string == "NoResult")
  }

  @Test func aDefaultThatFailsKeepsTheProgramFromServing() throws {
    let bench = try Bench(#"@post("/x") workflow X(v: int = 1 / (len([]))) -> int { v }"#).serve()
    #expect(bench.exits == [1])
    #expect(bench.errors.contains("DivisionByZero"))
    #expect(bench.simulation.network.listenerCount == 0)
  }

  @Test func defaultsAreThereWhenAScriptListens() throws {
    let bench = try Bench(
      """
      import "http"
      @post("/x") workflow X(v: int = 40 + 2) -> int { v }
      http.Server([X]).listen(9000)
      """, configure: { $0.server.port = nil }
    ).run()
    let client = bench.ask("POST", "/x", "{}", port: 9000)
    #expect(String(decoding: client.body, as: UTF8.self) == "42")
  }

  @Test func theEntryGetsItsArgumentsAndDefaults() throws {
    let text = #"func main(a: int, b: int = 40 + 2, c: string = "x") { println("${a} ${b} ${c}") }"#
    for (arguments, output) in [([1, nil, nil], "1 42 x\n"), ([1, 2, nil], "1 2 x\n")] as [([Int?], String)] {
      let bench = try Bench(text)
      bench.instance.run(entryArguments: arguments.map { $0.map { .int($0) } })
      bench.settle()
      #expect(bench.output == output)
      #expect(bench.exits == [0])
    }
  }
}
