import Glibc

/// A value that threads share, behind a POSIX mutex.
///
/// Not `Synchronization.Mutex`: ThreadSanitizer sees pthread's locks and not that one's, and reports every contended
/// use of it as a race.
///
/// `@unchecked Sendable` is true because `value` is touched only inside `withLock`, and the mutex has one address from
/// `init` to `deinit`.
final class Locked<Value>: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private var value: Value

  init(_ value: sending Value) {
    self.value = value
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&value)
  }
}
