import WeirCore

/// What one listener has not taken yet of what happens to the streams of workflows.
///
///     writers, readers ── StreamAccess.tell ──▶ [ e e e e ] ──▶ next
///                           full: the oldest is dropped, and counted with the one behind it
///
/// A listener that does not read costs `limit` events of at most about 2 KB and makes nobody wait. Every event is either taken
/// or counted: the sum of `dropped` and of the events taken is what has happened. Loop-confined, like all of `StreamAccess`.
package final class ActivityQueue {
  /// An event, and how many were lost right before it.
  package struct Entry: Equatable, Sendable {
    package var activity: StreamActivity
    package var workflow: String
    package var namespace: String
    package var dropped: Int
  }

  package static let usualLimit = 1_024
  package static let limitRange = 1...65_536
  /// Bytes that are kept of an event's detail: the reason of an abort may be of any length.
  package static let detailLimit = 1_024

  package let limit: Int
  /// It may hear of more. What is queued afterwards can still be taken.
  package private(set) var isOpen = true
  /// Called when there is something to take after there was nothing, and at the end.
  package var onReady: (() -> Void)?
  private var entries: ArraySlice<Entry> = []
  private var listening: (any Cancellable)?

  /// Hears of everything from now on. `limit`: events, in `limitRange`.
  package init(of access: StreamAccess, limit: Int = ActivityQueue.usualLimit) {
    self.limit = limit
    listening = access.listen { [weak self] in self?.push($0) }
  }

  deinit { listening?.cancel() }

  package var isEnded: Bool { !isOpen && entries.isEmpty }

  package func next() -> Entry? { entries.popFirst() }

  /// Nothing more comes.
  package func close() {
    guard isOpen else { return }
    isOpen = false
    listening?.cancel()
    listening = nil
    if entries.isEmpty { onReady?() }
  }

  private func push(_ activity: StreamActivity) {
    guard let (workflow, namespace) = WorkflowStreams.parts(of: activity.stream) else { return }
    var entry = Entry(activity: activity, workflow: workflow, namespace: namespace, dropped: 0)
    entry.activity.detail = activity.detail.map(Self.bounded)
    let wasEmpty = entries.isEmpty
    if entries.count == limit, let lost = entries.popFirst() {
      let count = lost.dropped + 1
      if entries.isEmpty { entry.dropped = count } else { entries[entries.startIndex].dropped += count }
    }
    entries.append(entry)
    if wasEmpty { onReady?() }
  }

  private static func bounded(_ text: String) -> String {
    text.utf8.count <= detailLimit ? text : String(decoding: text.utf8.prefix(detailLimit), as: UTF8.self) + "…"
  }
}
