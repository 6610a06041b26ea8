import WeirCore

/// Those who wait for a change of one stream: woken together by one job however many they are, and once for however
/// many changes came before it. Any store of this room uses it.
///
/// A wake may cancel any watch, add one, or change the stream. Cancelling is O(1): the closure is let go at once, its
/// slot when half of the slots are empty. `onEmpty` is called when nobody is left, so that the owner can forget the list.
package final class WatcherList {
  private var watchers: [Watcher] = []
  private var cancelledCount = 0
  private var isScheduled = false
  private var isWaking = false
  /// Counts changes, so that one who came after a change is not woken for it.
  private var changes = 0
  private let onEmpty: () -> Void

  package init(onEmpty: @escaping () -> Void) { self.onEmpty = onEmpty }

  package var liveCount: Int { watchers.count - cancelledCount }

  package func add(_ wake: @escaping () -> Void) -> any Cancellable {
    let watcher = Watcher(wake: wake, since: changes, list: self)
    watchers.append(watcher)
    return watcher
  }

  /// Something that a reader could see has happened.
  package func changed(on loop: any Loop) {
    changes += 1
    if isScheduled { return }
    isScheduled = true
    loop.soon { self.wakeAll() }
  }

  private func wakeAll() {
    isScheduled = false
    isWaking = true
    let now = changes
    // By index, since a wake may add watchers; those came after the change.
    for i in 0..<watchers.count {
      let watcher = watchers[i]
      guard let wake = watcher.wake, watcher.since < now else { continue }
      watcher.since = now
      wake()
    }
    isWaking = false
    tidy()
  }

  fileprivate func cancelled() {
    cancelledCount += 1
    if !isWaking { tidy() }
  }

  private func tidy() {
    if cancelledCount == 0 { return }
    if cancelledCount == watchers.count {
      watchers = []
      cancelledCount = 0
      onEmpty()
    } else if cancelledCount > 16, cancelledCount > watchers.count / 2 {
      watchers.removeAll { $0.wake == nil }
      cancelledCount = 0
    }
  }

  private final class Watcher: Cancellable {
    var wake: (() -> Void)?
    var since: Int
    private weak var list: WatcherList?

    init(wake: @escaping () -> Void, since: Int, list: WatcherList) {
      self.wake = wake
      self.since = since
      self.list = list
    }

    func cancel() {
      guard wake != nil else { return }
      wake = nil
      list?.cancelled()
    }
  }
}
