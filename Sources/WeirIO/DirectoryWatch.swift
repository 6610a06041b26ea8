import Glibc
import WeirCore

/// Changes of the files in one directory, as the kernel tells them: inotify on Linux. The one file to write again for
/// another kernel's way (kqueue).
///
/// The kernel keeps changes that were not fetched yet, equal ones behind each other once; when they become too many
/// (16 384 by default) it forgets the rest and says so, which is `unknown`.
final class DirectoryWatch: Cancellable, ReadinessHandler {
  private let loop: EventLoop
  private let descriptor: Int32
  private var changed: ((DirectoryChange) -> Void)?

  /// Blocks: looking the directory up may have to wait for the disk. Answers the descriptor that changes come from.
  static func begin(_ directory: String) throws(DiskFailure) -> Int32 {
    let descriptor = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
    if descriptor < 0 {
      throw .other(directory, "cannot be watched: \(errorText(errno)) (fs.inotify.max_user_instances)")
    }
    let content = UInt32(IN_MODIFY)
    let names = UInt32(IN_CREATE) | UInt32(IN_DELETE) | UInt32(IN_MOVED_FROM) | UInt32(IN_MOVED_TO)
    let itself = UInt32(IN_DELETE_SELF) | UInt32(IN_MOVE_SELF) | UInt32(IN_ONLYDIR)
    guard inotify_add_watch(descriptor, directory, content | names | itself) >= 0 else {
      let number = errno
      closeDescriptor(descriptor)
      if number == ENOSPC { throw .other(directory, "cannot be watched: the system allows no more watches") }
      throw DiskFailure.of(number, directory)
    }
    return descriptor
  }

  init(_ loop: EventLoop, descriptor: Int32, _ changed: @escaping (DirectoryChange) -> Void) {
    self.loop = loop
    self.descriptor = descriptor
    self.changed = changed
    _ = loop.watch(descriptor, .readable, self)
  }

  func cancel() {
    guard changed != nil else { return }
    changed = nil
    loop.unwatch(descriptor)
    closeDescriptor(descriptor)
  }

  func becameReady(_ ready: Readiness) {
    var bytes = [UInt8](repeating: 0, count: 16_384)
    let count = read(descriptor, &bytes, bytes.count)
    guard count > 0 else { return }
    // struct inotify_event: wd, mask, cookie, len, and `len` bytes of a name that NULs fill up.
    let head = 16
    var at = 0
    while at + head <= count, let changed {
      let (mask, length) = bytes.withUnsafeBytes {
        (
          $0.loadUnaligned(fromByteOffset: at + 4, as: UInt32.self),
          $0.loadUnaligned(fromByteOffset: at + 12, as: UInt32.self)
        )
      }
      let end = min(count, at + head + Int(length))
      let name = String(decoding: bytes[at + head..<end].prefix { $0 != 0 }, as: UTF8.self)
      at = end
      if name.isEmpty {
        changed(.unknown)
      } else {
        changed(mask & UInt32(IN_MODIFY) != 0 ? .content(name) : .name(name))
      }
    }
  }
}
