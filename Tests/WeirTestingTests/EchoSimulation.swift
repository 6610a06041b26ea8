import WeirCore
import WeirTesting

/// A small client and server for the simulation's own test: the client sends numbered lines over whatever connection
/// it can get, the server keeps each number once and acknowledges it, the client repeats what was not acknowledged.
final class EchoServer {
  private(set) var kept: [Int] = []
  private var listener: (any Listener)?

  init(world: World) throws {
    listener = try world.network.listen(SocketAddress(host: "127.0.0.1", port: 7), tls: nil) { [self] stream in
      stream.handler = EchoConnection(stream: stream) { [self] number in
        if number == kept.count { kept.append(number) }
        return number < kept.count
      }
    }
  }

  func close() { listener?.close() }
}

private final class EchoConnection: ByteStreamHandler {
  private let stream: any ByteStream
  private let keep: (Int) -> Bool
  private var line = ""
  private var unsent: [UInt8] = []

  init(stream: any ByteStream, keep: @escaping (Int) -> Bool) {
    self.stream = stream
    self.keep = keep
  }

  func byteStreamReceived(_ bytes: Span<UInt8>) {
    for i in 0..<bytes.count {
      if bytes[i] != 0x0A {
        line.unicodeScalars.append(Unicode.Scalar(bytes[i]))
        continue
      }
      if let number = Int(line), keep(number) { unsent += Array("\(number)\n".utf8) }
      line = ""
    }
    flush()
  }

  private func flush() {
    if !unsent.isEmpty { unsent.removeFirst(stream.send(unsent.span)) }
  }

  func byteStreamBecameWritable() { flush() }
  func byteStreamEnded() { stream.close() }
  func byteStreamFailed(_ failure: NetworkFailure) {}
}

final class EchoClient: ByteStreamHandler {
  private(set) var acknowledged: [Int] = []
  private(set) var attempts = 0
  private let world: World
  private let count: Int
  private var stream: (any ByteStream)?
  private var line = ""
  private var unsent: [UInt8] = []
  private var silence: (any Cancellable)?

  init(world: World, count: Int) {
    self.world = world
    self.count = count
    dial()
  }

  private func dial() {
    attempts += 1
    _ = world.network.connect(SocketAddress(host: "localhost", port: 7), tls: nil, timeout: .seconds(3)) { result in
      switch result {
      case .success(let stream):
        self.stream = stream
        self.line = ""
        stream.handler = self
        self.unsent = (self.acknowledged.count..<self.count).flatMap { Array("\($0)\n".utf8) }
        self.flush()
        self.expectProgress()
      case .failure: self.redial()
      }
    }
  }

  private func redial() { _ = world.loop.after(.milliseconds(100)) { self.dial() } }

  private func expectProgress() {
    silence?.cancel()
    silence = world.loop.after(.seconds(5)) { [self] in
      stream?.reset()
      redial()
    }
  }

  private func flush() {
    if let stream, !unsent.isEmpty { unsent.removeFirst(stream.send(unsent.span)) }
  }

  func byteStreamReceived(_ bytes: Span<UInt8>) {
    expectProgress()
    for i in 0..<bytes.count {
      if bytes[i] != 0x0A {
        line.unicodeScalars.append(Unicode.Scalar(bytes[i]))
        continue
      }
      if let number = Int(line), number == acknowledged.count { acknowledged.append(number) }
      line = ""
    }
    if acknowledged.count == count {
      silence?.cancel()
      stream?.close()
    }
  }

  func byteStreamBecameWritable() { flush() }
  func byteStreamEnded() {}
  func byteStreamFailed(_ failure: NetworkFailure) {
    silence?.cancel()
    redial()
  }
}
