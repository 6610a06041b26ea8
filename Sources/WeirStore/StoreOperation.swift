import WeirCore

/// What is asked of one stream of a file store, in its turn.
enum StoreOperation {
  case create(StreamCreation, Answer<StreamStatus>)
  case append(StreamAppend, Answer<StreamAppended>)
  case status(Answer<StreamStatus>)
  case read(Offset, Int, Answer<StreamBatch>)
  case delete(Answer<Void>)
  case synchronize((StoreFailure?) -> Void)
  /// Of a source: where the fork begins. From then on it counts as one.
  case forkPoint(fork: StreamName, StreamCreation, Answer<(ForkPoint, StreamFork)>)
  /// Of a source, by one of its forks, also when it is gone: what comes before the fork.
  case inherited(UInt64, before: UInt64, byteLimit: Int, Answer<StreamBatch>)
  /// Its last fork has gone.
  case purge
  /// Its lifetime may be over. Answers false when nobody knows, or it could not be removed.
  case expire((Bool) -> Void)
  case writeUse

  /// Whether a file of its stream must be open for this, or will be.
  func needsFile(isKnown: Bool) -> Bool {
    switch self {
    case .purge: false
    case .create: true
    default: isKnown
    }
  }

  var isPurge: Bool { if case .purge = self { true } else { false } }

  var isSynchronize: Bool { if case .synchronize = self { true } else { false } }

  /// Another stream, or the journal, may wait for this.
  var isUrgent: Bool { isSynchronize || isForFork }

  var isForFork: Bool {
    switch self {
    case .forkPoint, .inherited: true
    default: false
    }
  }

  var isChange: Bool {
    switch self {
    case .create, .append, .delete, .forkPoint, .purge, .expire, .writeUse: true
    case .status, .read, .inherited, .synchronize: false
    }
  }

  /// Whether the stream goes before this is done.
  func isStopped(byExpiry isOver: @autoclosure () -> Bool) -> Bool {
    switch self {
    case .create, .append, .status, .read, .delete, .forkPoint, .expire: isOver()
    case .synchronize, .inherited, .purge, .writeUse: false
    }
  }

  func fail(_ failure: StoreFailure) {
    switch self {
    case .create(_, let answer), .status(let answer): answer(.failure(failure))
    case .append(_, let answer): answer(.failure(failure))
    case .read(_, _, let answer), .inherited(_, _, _, let answer): answer(.failure(failure))
    case .delete(let answer): answer(.failure(failure))
    case .synchronize(let answer): answer(failure)
    case .forkPoint(_, _, let answer): answer(.failure(failure))
    case .expire(let done): done(false)
    case .purge, .writeUse: break
    }
  }
}
