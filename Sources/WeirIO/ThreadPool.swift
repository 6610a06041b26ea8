import Glibc
import Synchronization

/// A few threads for the calls that block: name resolution and files.
///
/// Threads start when there is work for them. The queue is bounded: a job that finds it full is refused at once.
///
/// `@unchecked Sendable` is true because all state is inside `state` and touched only while `mutex` is held; the mutex
/// and the condition live at fixed addresses from `init` to `deinit`, and worker threads hold the inner object.
package final class ThreadPool: Sendable {
  /// Blocking calls at the same time. They wait, not compute: more than cores is right, many more is not.
  package static let threadLimit = 4
  /// Jobs waiting at most; beyond that something is stuck and more waiting does not help.
  package static let queueLimit = 4096

  private final class Shared: @unchecked Sendable {
    struct State {
      var jobs = Ring<@Sendable () -> Void>()
      var threads = 0
      var idle = 0
      var isClosed = false
    }
    let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    var state = State()

    init() {
      pthread_mutex_init(mutex, nil)
      pthread_cond_init(condition, nil)
    }

    deinit {
      pthread_cond_destroy(condition)
      pthread_mutex_destroy(mutex)
      condition.deallocate()
      mutex.deallocate()
    }

    func work() {
      while true {
        pthread_mutex_lock(mutex)
        while state.jobs.isEmpty, !state.isClosed {
          state.idle += 1
          pthread_cond_wait(condition, mutex)
          state.idle -= 1
        }
        let job = state.jobs.popFirst()
        pthread_mutex_unlock(mutex)
        guard let job else { return }
        job()
      }
    }
  }

  private let shared = Shared()
  private let name: String
  private let threadLimit: Int
  private let queueLimit: Int

  package init(
    name: String, threadLimit: Int = ThreadPool.threadLimit, queueLimit: Int = ThreadPool.queueLimit
  ) {
    self.name = name
    self.threadLimit = threadLimit
    self.queueLimit = queueLimit
  }

  /// Jobs that were taken are still done; then the threads end.
  deinit {
    pthread_mutex_lock(shared.mutex)
    shared.state.isClosed = true
    pthread_cond_broadcast(shared.condition)
    pthread_mutex_unlock(shared.mutex)
  }

  /// False: the queue is full and the job was not taken.
  package func submit(_ job: @escaping @Sendable () -> Void) -> Bool {
    pthread_mutex_lock(shared.mutex)
    defer { pthread_mutex_unlock(shared.mutex) }
    guard shared.state.jobs.count < queueLimit else { return false }
    shared.state.jobs.append(job)
    if shared.state.idle >= shared.state.jobs.count {
      pthread_cond_signal(shared.condition)
    } else if shared.state.threads < threadLimit {
      shared.state.threads += 1
      _ = LoopThread(name: name) { [shared] in shared.work() }
    } else {
      pthread_cond_signal(shared.condition)
    }
    return true
  }
}
