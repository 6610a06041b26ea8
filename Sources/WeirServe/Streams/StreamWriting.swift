import WeirCore
import WeirNet
import WeirStore
import WeirWire

/// Creating, appending to, closing and deleting streams (Durable Streams Protocol, 5.1 to 5.4). Everything is answered
/// once it is as durable as the store promises.
extension ServeApplication {
  // MARK: PUT

  func createStream(
    _ stream: StreamName, mayFork: Bool, _ exchange: StreamExchange
  ) throws(ServeFailure) {
    let request = exchange.request
    var creation = StreamCreation(
      contentType: try StreamQuery.contentType(request), lifetime: try StreamQuery.lifetime(request),
      fork: try StreamQuery.fork(request) { streamName(of: $0) },
      ending: StreamQuery.isClosing(request) ? .closed : nil)
    guard let fork = creation.fork else {
      creation.items = try StreamBody.items(request.body, creation.contentType ?? StreamContentType.bytes)
      return create(stream, creation, exchange)
    }
    guard mayFork else { throw .notInLink("fork another stream") }
    guard !fork.source.isInternal else { throw .streamNotFound(fork.source.path) }
    if request.body.isEmpty { return create(stream, creation, exchange) }
    if let type = creation.contentType {
      creation.items = try StreamBody.items(request.body, type)
      return create(stream, creation, exchange)
    }
    // What the body is says the source.
    let client = WaitingClient()
    exchange.responder.observer = client
    store.status(fork.source) { [self] result in
      if client.isGone { return }
      do throws(ServeFailure) {
        switch result {
        case .success(let status):
          creation.items = try StreamBody.items(request.body, status.contentType)
          create(stream, creation, exchange)
        case .failure(let failure): find(stream, creation, without: failure, client, exchange)
        }
      } catch {
        exchange.send(error)
      }
    }
  }

  /// A fork that is there needs no source any more. `failure`: why there is none.
  private func find(
    _ stream: StreamName, _ creation: StreamCreation, without failure: StoreFailure, _ client: WaitingClient,
    _ exchange: StreamExchange
  ) {
    store.status(stream) { [self] result in
      if client.isGone { return }
      guard case .success(var found) = result else { return answer(.failure(failure), exchange) }
      found.existed = true
      answer(creation.conflict(with: found).map { .failure($0) } ?? .success(found), exchange)
    }
  }

  private func create(_ stream: StreamName, _ creation: StreamCreation, _ exchange: StreamExchange) {
    let client = WaitingClient()
    exchange.responder.observer = client
    store.create(stream, creation) { [self] result in if !client.isGone { answer(result, exchange) } }
  }

  private func answer(_ result: Result<StreamStatus, StoreFailure>, _ exchange: StreamExchange) {
    switch result {
    case .success(let status):
      var headers =
        [(name: "Content-Type", value: status.contentType), ("Stream-Next-Offset", status.tail.description)]
        + StreamHeaders.lifetime(status) + StreamHeaders.ending(status.ending)
      if !status.existed {
        let host = exchange.request["Host"].map { "\(configuration.isSecure ? "https" : "http")://\($0)" } ?? ""
        headers.append(("Location", host + escapedPath(exchange.path)))
      }
      exchange.send(status.existed ? 200 : 201, headers)
    case .failure(.gone(let name)):
      // The name is taken, or the source cannot be forked any more: not that what was asked for is gone.
      exchange.send(.store(.conflict(name, "it was deleted and is kept for its forks")))
    case .failure(let failure): exchange.send(failure)
    }
  }

  // MARK: POST

  func appendToStream(_ stream: StreamName, _ exchange: StreamExchange) throws(ServeFailure) {
    let request = exchange.request
    let isClosing = StreamQuery.isClosing(request)
    var append = StreamAppend(
      items: [], ending: isClosing ? .closed : nil, producer: try StreamQuery.producer(request),
      sequence: try StreamQuery.sequence(request))
    withStatus(of: stream, exchange) { [self] status, client in
      do throws(ServeFailure) {
        // Of several things that are wrong, that the stream has ended is told first, and that the type is another second.
        if let ending = status.ending, request.body.isEmpty ? !isClosing : (request["Content-Type"] ?? "").isEmpty {
          return refuse(stream, ending, tail: status.tail, exchange)
        }
        if request.body.isEmpty {
          guard isClosing else {
            throw .badStreamBody("it is empty, and Stream-Closed does not say that this is the end")
          }
        } else {
          guard let type = try StreamQuery.contentType(request) else {
            throw .badHeader("Content-Type is missing: it says \(status.contentType), as the stream's")
          }
          append.contentType = type
          if status.ending == nil, StreamContentType.isSame(type, status.contentType) {
            append.items = try StreamBody.items(request.body, type)
            guard !append.items.isEmpty else { throw .badStreamBody("an empty array has no messages to append") }
          } else {
            append.items = [request.body]
          }
        }
        add(append, to: stream, client, exchange)
      } catch {
        exchange.send(error)
      }
    }
  }

  private func add(
    _ append: StreamAppend, to stream: StreamName, _ client: WaitingClient, _ exchange: StreamExchange
  ) {
    store.append(stream, append) { [self] result in
      if client.isGone { return }
      switch result {
      case .success(let appended):
        var headers = [(name: "Stream-Next-Offset", value: appended.tail.description)]
        if let stamp = append.producer, let sequence = appended.sequence {
          headers += [("Producer-Epoch", "\(stamp.epoch)"), ("Producer-Seq", "\(sequence)")]
        }
        headers += StreamHeaders.ending(appended.ending)
        // 200 says that a producer's data is new (5.2.1): an end without data has none (5.3).
        let isNewData = append.producer != nil && !appended.isRepeat && !append.items.isEmpty
        exchange.send(isNewData ? 200 : 204, headers)
      case .failure(.ended(_, let ending)):
        // The end of the stream goes with it, so that the client knows where it stands.
        withStatus(of: stream, exchange) { [self] status, _ in
          guard append.items.isEmpty, append.producer == nil else {
            return refuse(stream, ending, tail: status.tail, exchange)
          }
          exchange.send(204, StreamHeaders.end(ending, at: status.tail))
        }
      case .failure(let failure):
        var headers: [(name: String, value: String)] = []
        switch failure {
        case .staleProducer(_, _, let epoch): headers = [("Producer-Epoch", "\(epoch)")]
        case .producerGap(_, let stamp, let expected):
          headers = [("Producer-Expected-Seq", "\(expected)"), ("Producer-Received-Seq", "\(stamp.sequence)")]
        default: break
        }
        exchange.send(failure, headers)
      }
    }
  }

  private func refuse(_ stream: StreamName, _ ending: StreamEnding, tail: Offset, _ exchange: StreamExchange) {
    exchange.send(.ended(stream, ending), StreamHeaders.end(ending, at: tail))
  }

  // MARK: DELETE

  func deleteStream(_ stream: StreamName, _ exchange: StreamExchange) {
    let client = WaitingClient()
    exchange.responder.observer = client
    store.delete(stream) { result in
      if client.isGone { return }
      switch result {
      case .success: exchange.send(204)
      case .failure(let failure): exchange.send(failure)
      }
    }
  }
}
