import WeirCore
import WeirStore

/// Whether a run could be kept now: a load balancer that is told `ok` by a server whose disk is full sends it everything,
/// since it refuses so quickly.
///
/// It is found out by doing it: a stream is made and deleted again. Several questions at once, and those within a second,
/// share one answer.
final class Readiness {
  /// A store that takes longer is as good as none; it is also what probes usually allow.
  static let patience = Duration.seconds(2)
  static let freshness = Duration.seconds(1)
  static let stream = "_weir/ready"

  private let store: any StreamStore
  private let loop: any Loop
  private var waiting: [(StoreFailure?) -> Void] = []
  private var known: (failure: StoreFailure?, at: Instant)?
  private var timer: (any Cancellable)?
  /// The store is at it; what it answers after the patience is over counts for the next question.
  private var isTrying = false

  init(_ store: any StreamStore, loop: any Loop) {
    self.store = store
    self.loop = loop
  }

  /// Nil: it could be kept.
  func ask(_ answer: @escaping (StoreFailure?) -> Void) {
    if let known, loop.now - known.at < Self.freshness { return answer(known.failure) }
    waiting.append(answer)
    if timer == nil {
      timer = loop.after(Self.patience) { [self] in
        tell(.unavailable("the store has not answered for \(Self.patience.components.seconds) s"))
      }
    }
    attempt()
  }

  private func attempt() {
    guard !isTrying else { return }
    isTrying = true
    do {
      let name = try StreamName(Self.stream)
      let creation = StreamCreation(
        contentType: StreamContentType.bytes, lifetime: .idle(seconds: 60), finds: .sameContentType)
      store.create(name, creation) { [self] made in
        if case .failure(let failure) = made { return tried(failure) }
        store.delete(name) { [self] deleted in
          // Another server that shares the store may have been faster.
          if case .failure(let failure) = deleted, failure != .notFound(name) { return tried(failure) }
          tried(nil)
        }
      }
    } catch {
      tried(error)
    }
  }

  private func tried(_ failure: StoreFailure?) {
    isTrying = false
    tell(failure)
  }

  private func tell(_ failure: StoreFailure?) {
    known = (failure, loop.now)
    timer?.cancel()
    timer = nil
    let waiting = waiting
    self.waiting = []
    for answer in waiting { answer(failure) }
  }
}
