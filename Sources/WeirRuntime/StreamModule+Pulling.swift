import WeirLang

/// The part of `std/stream` that takes values from streams and makes streams of streams.
///
/// A stream of a stream is a function that makes its next value, so nothing happens before somebody asks, one value at a
/// time and in order; `take` asks for no more than it gives. Its effects are its maker's: they count where it is made.
extension StreamModule {
  static let readError = TypeTag(
    19, "StreamReadError",
    ["StreamEnded", "StreamAborted", "ReadTimedOut", "ReaderClosed", "StoreError", "WrongItem"])

  static let pulling = """

    /// Why `read` gives no value. `StreamEnded` tells where a whole stream ends; all others are no end.
    export type StreamReadError = StreamEnded(int) | StreamAborted(string) | ReadTimedOut | ReaderClosed
      | StoreError(string) | WrongItem(string)

    /// The next value, once it is there; `None` at the end. A stream that failed stops the program with its error:
    /// an answer that was cut off never looks complete.
    export func next[a](stream: Stream[a]) -> Option[a] ! {Stream} {
      match _producer(stream) {
        Some(produce) => _produced(stream, produce()),
        None => _next(stream)
      }
    }
    /// The next value, once it is there, or why there is none.
    export func read[a](stream: Stream[a]) -> Result[a, StreamReadError] ! {Stream} {
      match _producer(stream) {
        Some(produce) => match _produced(stream, produce()) {
          Some(value) => Ok(value),
          None => Err(StreamEnded(position(stream)))
        },
        None => _read(stream)
      }
    }
    /// Values taken so far; of a durable stream's reader, the place of the next item.
    export extern func position[a](stream: Stream[a]) -> int
    /// More may come.
    export extern func readable[a](stream: Stream[a]) -> bool
    /// Gives a stream up: what feeds it is stopped, and reading it is an error. Closing twice does nothing.
    export extern func close[a](stream: Stream[a]) -> unit ! {Stream}
    /// A stream of what a function gives, until it gives `None`.
    export extern func generate[a](produce: () -> Option[a] ! e) -> Stream[a] ! e

    /// `f(x)` of each value.
    export func map[a, b](stream: Stream[a], f: (a) -> b) -> Stream[b] ! {Stream} {
      _from(stream, () => match next(stream) { Some(x) => Some(f(x)), None => None })
    }
    /// The values that `keep` holds for.
    export func filter[a](stream: Stream[a], keep: (a) -> bool) -> Stream[a] ! {Stream} {
      _from(stream, () => {
        while true {
          match next(stream) {
            Some(x) => if keep(x) { return Some(x) },
            None => return None
          }
        }
        None
      })
    }
    /// All that `f` makes of each value, one after the other.
    export func flatMap[a, b](stream: Stream[a], f: (a) -> [b]) -> Stream[b] ! {Stream} {
      var waiting: [b] = []
      _from(stream, () => {
        while true {
          match waiting {
            x :: rest => {
              waiting = rest
              return Some(x)
            }
            [] => match next(stream) {
              Some(x) => { waiting = f(x) },
              None => return None
            }
          }
        }
        None
      })
    }
    /// Lists of `size` values; the last may be shorter.
    export func chunk[a](stream: Stream[a], size: int) -> Stream[[a]] ! {Stream} {
      _atLeast("chunk", size, 1)
      _from(stream, () => {
        var values: [a] = []
        var count = 0
        while count < size {
          match next(stream) {
            Some(x) => {
              values = values ++ [x]
              count = count + 1
            },
            None => { count = size }
          }
        }
        match values { [] => None, all => Some(all) }
      })
    }
    /// The first `count` values. No further one is asked for.
    export func take[a](stream: Stream[a], count: int) -> Stream[a] ! {Stream} {
      _atLeast("take", count, 0)
      var left = count
      _from(stream, () => {
        if left == 0 { return None }
        left = left - 1
        next(stream)
      })
    }
    /// Without the first `count` values.
    export func skip[a](stream: Stream[a], count: int) -> Stream[a] ! {Stream} {
      _atLeast("skip", count, 0)
      var left = count
      _from(stream, () => {
        while left > 0 {
          left = left - 1
          match next(stream) { Some(_) => (), None => return None }
        }
        next(stream)
      })
    }
    /// Values up to the first that `keep` does not hold for.
    export func takeWhile[a](stream: Stream[a], keep: (a) -> bool) -> Stream[a] ! {Stream} {
      _from(stream, () => match next(stream) { Some(x) => if keep(x) then Some(x) else None, None => None })
    }
    /// Without the values before the first that `drop` does not hold for.
    export func skipWhile[a](stream: Stream[a], drop: (a) -> bool) -> Stream[a] ! {Stream} {
      var isDropping = true
      _from(stream, () => {
        while isDropping {
          match next(stream) {
            Some(x) => if !drop(x) {
              isDropping = false
              return Some(x)
            },
            None => return None
          }
        }
        next(stream)
      })
    }
    /// All values, once the stream has ended.
    export func collect[a](stream: Stream[a]) -> [a] ! {Stream} {
      var values: [a] = []
      for x in stream { values = values ++ [x] }
      values
    }
    /// One value made of all: `f(f(initial, x1), x2)` and so on.
    export func reduce[a, b](stream: Stream[a], f: (b, a) -> b, initial: b) -> b ! {Stream} {
      var value = initial
      for x in stream { value = f(value, x) }
      value
    }
    /// The stream through each of these, in order. `|>` does the same where their types differ.
    export func pipe[a](stream: Stream[a], stages: [(Stream[a]) -> Stream[a]]) -> Stream[a] ! {Stream} {
      var result = stream
      for stage in stages { result = stage(result) }
      result
    }
    /// The stream itself: `for` takes values from any.
    export func toAsyncIterable[a](stream: Stream[a]) -> Stream[a] { stream }

    /// A stream whose function takes values from this one.
    extern func _from[a, b](source: Stream[a], produce: () -> Option[b] ! e) -> Stream[b] ! e
    extern func _next[a](stream: Stream[a]) -> Option[a]
    extern func _read[a](stream: Stream[a]) -> Result[a, StreamReadError]
    extern func _producer[a](stream: Stream[a]) -> Option[() -> Option[a]]
    extern func _produced[a](stream: Stream[a], value: Option[a]) -> Option[a]
    extern func _atLeast(name: string, count: int, least: int) -> unit
    """

  static var pulled: [Native] {
    [
      raw("_next", arity: 1) { arguments, context in
        let stream = try stream(arguments)
        stream.prepare(context)
        let suspension = context.suspend()
        try stream.next { result in
          switch result {
          case .success(let value): suspension.resume(value)
          case .failure(let failure): suspension.fail(Trap(failure.code, failure.message, hint: failure.hint))
          }
        }
        suspension.onCancel { stream.giveUp() }
        return .suspended
      },
      raw("_read", arity: 1) { arguments, context in
        let stream = try stream(arguments)
        stream.prepare(context)
        let suspension = context.suspend()
        try stream.read { result in
          switch result {
          case .success(let value): suspension.resume(.ok(value))
          case .failure(let failure): suspension.resume(.err(failure.value))
          }
        }
        suspension.onCancel { stream.giveUp() }
        return .suspended
      },
      raw("_producer", arity: 1) { arguments, _ in
        guard let stream = arguments[0].asHandle as? GeneratedStream, let produce = try stream.begin() else {
          return .value(.none)
        }
        return .value(.some(produce))
      },
      raw("_produced", arity: 2) { arguments, _ in
        (arguments[0].asHandle as? GeneratedStream)?.produced(arguments[1])
        return .value(arguments[1])
      },
      raw("_from", arity: 2) { arguments, _ in
        .value(.handle(GeneratedStream(arguments[1], from: try stream(arguments))))
      },
      raw("generate", arity: 1) { arguments, _ in .value(.handle(GeneratedStream(arguments[0]))) },
      raw("position", arity: 1) { arguments, _ in .value(.int(try stream(arguments).position)) },
      raw("readable", arity: 1) { arguments, _ in .value(.bool(try !stream(arguments).isOver)) },
      raw("close", arity: 1) { arguments, _ in
        try stream(arguments).close()
        return .value(.unit)
      },
      native("_atLeast") { (name: String, count: Int, least: Int) in
        guard count >= least else { throw Trap("BadArgument", "\(name): \(count) is less than \(least)") }
        return Unit()
      },
    ]
  }

  private static func stream(_ arguments: Arguments) throws(Trap) -> PulledStream {
    guard let stream = arguments[0].asHandle as? PulledStream else { throw Trap.broken("not a stream") }
    return stream
  }
}
