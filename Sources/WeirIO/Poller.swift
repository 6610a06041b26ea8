import CWeir

/// Which descriptors are ready: epoll on Linux. The one file to write again for another kernel's way (kqueue).
///
/// It knows descriptors and who wants to hear of them, nothing of time, jobs or bytes. Level-triggered: what was not
/// read is told again. A registration that was replaced between the wait and its turn is recognised by its age, so a
/// reused descriptor never hears of its predecessor.
struct Poller: ~Copyable {
  private struct Slot {
    var handler: (any ReadinessHandler)?
    var age: UInt32 = 0
  }

  /// Events taken from the kernel at once; the rest wait for the next turn.
  static let batchLimit = 256

  private let descriptor: Int32
  private var slots: [Slot] = []
  private let events = UnsafeMutablePointer<weir_event>.allocate(capacity: Poller.batchLimit)
  private(set) var registered = 0

  init() {
    descriptor = weir_poller_create()
    precondition(descriptor >= 0, "no poller: the process has no descriptor left at its start")
  }

  deinit {
    events.deallocate()
    _ = closeDescriptor(descriptor)
  }

  /// The kernel's refusal as errno, or 0. EPERM: a regular file, which cannot be polled.
  mutating func add(_ fd: Int32, _ interest: Readiness, _ handler: any ReadinessHandler) -> Int32 {
    while slots.count <= Int(fd) { slots.append(Slot()) }
    slots[Int(fd)].age &+= 1
    let refused = weir_poller_add(descriptor, fd, interest.rawValue, token(fd))
    if refused < 0 { return -refused }
    slots[Int(fd)].handler = handler
    registered += 1
    return 0
  }

  func change(_ fd: Int32, _ interest: Readiness) {
    _ = weir_poller_change(descriptor, fd, interest.rawValue, token(fd))
  }

  /// Must come before the descriptor is closed.
  mutating func remove(_ fd: Int32) {
    guard Int(fd) < slots.count, slots[Int(fd)].handler != nil else { return }
    slots[Int(fd)].handler = nil
    slots[Int(fd)].age &+= 1
    registered -= 1
    _ = weir_poller_remove(descriptor, fd)
  }

  /// Nobody is told of anything any more. The handlers are the caller's to let go.
  mutating func removeAll() -> [any ReadinessHandler] {
    defer {
      slots = []
      registered = 0
    }
    return slots.compactMap(\.handler)
  }

  /// Waits at most `nanoseconds` (negative: until something happens) and returns how many events `event(_:)` holds.
  func wait(_ nanoseconds: Int64) -> Int {
    max(0, Int(weir_poller_wait(descriptor, events, Int32(Poller.batchLimit), nanoseconds)))
  }

  /// Nil when its registration is gone.
  func event(_ index: Int) -> (handler: any ReadinessHandler, ready: Readiness)? {
    let event = events[index]
    let slot = slots[Int(event.token & 0xffff_ffff)]
    guard slot.age == UInt32(event.token >> 32), let handler = slot.handler else { return nil }
    return (handler, Readiness(rawValue: event.ready))
  }

  private func token(_ fd: Int32) -> UInt64 { UInt64(slots[Int(fd)].age) << 32 | UInt64(UInt32(fd)) }
}

/// What a descriptor is ready for. `broken` (error or both sides hung up) is told whether asked for or not.
package struct Readiness: OptionSet, Sendable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }
  package static let readable = Readiness(rawValue: 1)
  package static let writable = Readiness(rawValue: 2)
  package static let broken = Readiness(rawValue: 4)
}

/// Told, on the loop, that its descriptor is ready. Must do the I/O, or change its interest: it is told again.
package protocol ReadinessHandler: AnyObject {
  func becameReady(_ ready: Readiness)
}
