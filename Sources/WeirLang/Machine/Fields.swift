/// One tail-allocated run of values: the fields of a record, the payload of a variant, the captures of a function, the
/// buffer under lists, the nodes of a map, the box of a captured `var`.
///
/// Why one class: ARC lets go of nested values by recursion, and a script's chain of 60,000 of them would overflow the
/// stack of the thread that drops it. Here `deinit` moves what only it owns onto a pile and empties the pile in a loop.
/// All values that can nest do so through this class, so any depth is safe.
///
/// Invariant: slots `first..<end` are initialised, no others. Fields of records and variants are never written after
/// `init`; a `List` may extend its buffer's ends, which no other slice can see.
package final class Fields: ManagedBuffer<Fields.Extent, Value> {
  package struct Extent {
    var first: UInt32
    var end: UInt32
    var capacity: UInt32
  }

  deinit {
    withUnsafeMutablePointers { extent, slots in
      let first = Int(extent.pointee.first)
      let end = Int(extent.pointee.end)
      if first < end { Fields.drop(slots, first, end) }
    }
  }

  private static func drop(_ slots: UnsafeMutablePointer<Value>, _ first: Int, _ end: Int) {
    var pile: [Fields] = []
    release(slots, first, end, &pile)
    while let next = pile.popLast() {
      next.withUnsafeMutablePointers { extent, slots in
        let first = Int(extent.pointee.first)
        let end = Int(extent.pointee.end)
        extent.pointee.end = extent.pointee.first
        release(slots, first, end, &pile)
      }
    }
  }

  /// Deinitialises the slots. Whoever in them is referenced from here alone and owns values that own values goes to the pile.
  private static func release(
    _ slots: UnsafeMutablePointer<Value>, _ first: Int, _ end: Int, _ pile: inout [Fields]
  ) {
    for index in first..<end {
      let slot = slots + index
      if slot.pointee.isScalar { continue }
      guard let owned = slot.pointee.ownedFields else {
        slot.deinitialize(count: 1)
        continue
      }
      // Take over the slot's count: a copy of the reference would make it look shared.
      slot.initialize(to: .unit)
      var child = owned.takeRetainedValue()
      if isKnownUniquelyReferenced(&child), child.nests { pile.append(child) }
    }
  }

  /// Has a field that owns fields.
  private var nests: Bool {
    withUnsafeMutablePointers { extent, slots in
      for index in Int(extent.pointee.first)..<Int(extent.pointee.end) where slots[index].ownedFields != nil {
        return true
      }
      return false
    }
  }
}

extension Fields {
  /// Room for `capacity` values, none initialised; the extent starts empty at `at`.
  @inline(__always)
  static func reserve(_ capacity: Int, at: Int = 0) -> Fields {
    let buffer = Fields.create(minimumCapacity: capacity) { _ in
      Extent(first: UInt32(at), end: UInt32(at), capacity: UInt32(capacity))
    }
    return unsafeDowncast(buffer, to: Fields.self)
  }

  /// The values of `count` slots from `source`, copied.
  @inline(__always)
  static func copying(_ source: UnsafePointer<Value>, _ count: Int) -> Fields {
    let fields = reserve(count)
    fields.withUnsafeMutablePointers { extent, slots in
      slots.initialize(from: source, count: count)
      extent.pointee.end = UInt32(count)
    }
    return fields
  }

  /// The values of `count` slots from `source`, moved: the slots are left uninitialised.
  @inline(__always)
  static func moving(_ source: UnsafeMutablePointer<Value>, _ count: Int) -> Fields {
    let fields = reserve(count)
    fields.withUnsafeMutablePointers { extent, slots in
      slots.moveInitialize(from: source, count: count)
      extent.pointee.end = UInt32(count)
    }
    return fields
  }

  package static func of(_ values: Value...) -> Fields { of(values) }

  package static func of(_ values: [Value]) -> Fields {
    values.withUnsafeBufferPointer { source in
      guard let base = source.baseAddress else { return reserve(0) }
      return copying(base, source.count)
    }
  }

  package var count: Int {
    withUnsafeMutablePointerToHeader { Int($0.pointee.end - $0.pointee.first) }
  }

  package subscript(_ index: Int) -> Value {
    withUnsafeMutablePointers { extent, slots in
      precondition(index >= 0 && index < Int(extent.pointee.end - extent.pointee.first), "field index")
      return slots[Int(extent.pointee.first) + index]
    }
  }

  /// Address of a field; valid while `self` is.
  @inline(__always)
  func address(_ index: Int) -> UnsafeMutablePointer<Value> {
    withUnsafeMutablePointers { extent, slots in
      precondition(index < Int(extent.pointee.end) && extent.pointee.first == 0, "field index")
      return slots + index
    }
  }

  package var array: [Value] { (0..<count).map { self[$0] } }

  /// Address of slot 0. Valid while `self` is.
  @inline(__always)
  var slots: UnsafeMutablePointer<Value> { withUnsafeMutablePointerToElements { $0 } }
}
