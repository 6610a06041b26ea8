import Glibc
import Testing

/// Runs `body` on a thread whose stack is 512 KB, what the threads of some systems' pools have; crashing is the failure.
/// Unoptimised code needs about seven times as much.
func onSmallStack<Value: Sendable>(_ body: @escaping @Sendable () -> Value) throws -> Value {
  var value: Value?
  let work = Work { value = body() }
  let run: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { raw in
    if let raw { Unmanaged<Work>.fromOpaque(raw).takeUnretainedValue().run() }
    return nil
  }
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  pthread_attr_setstacksize(&attributes, _isDebugAssertConfiguration() ? 4_194_304 : 524_288)
  defer { pthread_attr_destroy(&attributes) }
  var thread = pthread_t()
  try #require(pthread_create(&thread, &attributes, run, Unmanaged.passUnretained(work).toOpaque()) == 0)
  withExtendedLifetime(work) { _ = pthread_join(thread, nil) }
  return try #require(value)
}

private final class Work {
  let run: () -> Void
  init(_ run: @escaping () -> Void) { self.run = run }
}
