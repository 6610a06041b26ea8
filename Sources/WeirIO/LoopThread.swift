import CWeir
import Glibc
import Synchronization

/// A thread with a name and an end that can be waited for. Nobody needs to: it then frees itself when it ends.
package final class LoopThread: Sendable {
  private final class Start {
    let name: String
    let body: @Sendable () -> Void
    init(name: String, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }

  private let thread: pthread_t
  private let isJoined = Atomic<Bool>(false)

  package init(name: String, _ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let start = Unmanaged.passRetained(Start(name: name, body: body))
    let refused = pthread_create(
      &thread, nil,
      { pointer in
        let start = Unmanaged<Start>.fromOpaque(pointer!).takeRetainedValue()
        weir_name_thread(String(start.name.prefix(15)))
        start.body()
        return nil
      }, start.toOpaque())
    precondition(refused == 0, "no thread: the machine's limit is reached")
    self.thread = thread
  }

  /// Blocks until the body has returned. Call once, never from the thread itself.
  package func join() {
    if !isJoined.exchange(true, ordering: .relaxed) { pthread_join(thread, nil) }
  }

  deinit {
    if !isJoined.load(ordering: .relaxed) { pthread_detach(thread) }
  }
}
