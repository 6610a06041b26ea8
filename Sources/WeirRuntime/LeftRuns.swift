import WeirCore
import WeirServe
import WeirStore

/// Finds the runs that other processes have left, and has them taken up (`RunRecovery`).
///
/// In a store of one process what is open when it starts was left by the one before. In a store of several each shows that it lives
/// (`ProcessLease`), and whoever finds that another one is gone takes up its runs: at the start, and now and then.
final class LeftRuns {
  private unowned let instance: ProgramInstance
  private(set) var lease: ProcessLease?
  private var timer: (any Cancellable)?
  private var hasBegun = false

  init(_ instance: ProgramInstance) { self.instance = instance }

  /// Before a server takes requests. A failure: what it does could not be taken up.
  func begin(_ answer: @escaping (StoreFailure?) -> Void) {
    let store = instance.store
    guard lease == nil, !store.isExclusive, store.outlivesProcess else { return answer(nil) }
    let lease: ProcessLease
    do throws(StoreFailure) {
      lease = try ProcessLease(instance.world.random.identifier(), for: instance.options.server.lease, in: store)
    } catch { return answer(error) }
    lease.onStop = { [weak instance] run in instance?.runs.stop(run: run) }
    self.lease = lease
    instance.index.process = lease.id
    lease.begin(answer)
  }

  /// Once, with the first server that listens; answered when what is there was looked at.
  func recover(_ answer: @escaping () -> Void) {
    guard !hasBegun else { return answer() }
    hasBegun = true
    guard let lease else {
      guard instance.store.isExclusive else { return answer() }
      return takeUp(instance.index.open, answer)
    }
    look(lease) { [self] in
      lookLater(lease)
      answer()
    }
  }

  /// No two processes look at the same moment for long.
  private func lookLater(_ lease: ProcessLease) {
    let half = max(1, lease.length.milliseconds / 2)
    let wait = Duration.milliseconds(half + Int64(instance.world.random.next() % UInt64(half)))
    timer = instance.world.loop.after(wait) { [weak self] in
      guard let self, timer != nil else { return }
      look(lease) { [weak self] in
        if let self, timer != nil { lookLater(lease) }
      }
    }
  }

  private func look(_ lease: ProcessLease, _ done: @escaping () -> Void) {
    instance.index.catchUp { [weak self] failure in
      guard let self, failure == nil else { return done() }
      // Those of other programs are left to them.
      let open = instance.index.open.filter { run in
        run.process != nil && run.process != lease.id && !self.instance.runs.isUnderWay(run.id)
          && self.instance.declared.contains { $0.route.name == run.workflow }
      }
      let others = Set(open.compactMap(\.process)).sorted()
      ProcessLease.gone(others[...], in: instance.store) { [weak self] gone in
        guard let self else { return done() }
        takeUp(open.filter { $0.process.map(gone.contains) ?? false }, done)
      }
    }
  }

  private func takeUp(_ open: [RunIndex.Run], _ answer: @escaping () -> Void) {
    var (left, resumed, interrupted) = (open.count, 0, 0)
    if left == 0 { return answer() }
    for id in open.map(\.id) {
      instance.runs.recovery.add(id) { [instance] result in
        switch result {
        case .success(.resumed):
          resumed += 1
          instance.index.took(id)
        case .success(.interrupted(let state)):
          interrupted += 1
          instance.index.ended(id, state)
        case .success(.ended): instance.index.learnEnd(of: id)
        case .success(.left): break
        // Another process has found it at the same moment, and was quicker.
        case .failure(let failure) where failure.code == StoreFailure.takenOver(id).code: break
        case .failure(let failure): instance.log("run \(id) could not be taken up: \(failure.message)")
        }
        left -= 1
        if left > 0 { return }
        if resumed > 0 {
          instance.log("\(resumed) run\(resumed == 1 ? "" : "s") of an earlier process taken up again")
        }
        if interrupted > 0 {
          instance.log(
            "\(interrupted) run\(interrupted == 1 ? "" : "s") of an earlier process had not ended, and failed")
        }
        answer()
      }
    }
  }

  /// Nothing more is taken up.
  func close() {
    timer?.cancel()
    timer = nil
  }

  /// A store that cannot be reached holds no process up: its sign goes by itself.
  private static let endLimit = Duration.seconds(2)

  /// The process is about to end: what it leaves is others'.
  func end(_ answer: @escaping () -> Void) {
    close()
    guard let lease else { return answer() }
    self.lease = nil
    var told: (() -> Void)? = answer
    let limit = instance.world.loop.after(Self.endLimit) { told.take()?() }
    lease.end {
      limit.cancel()
      told.take()?()
    }
  }
}
