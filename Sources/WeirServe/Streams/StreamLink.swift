import WeirCore
import WeirStore
import WeirWire

/// A URL that gives whoever has it one stream, for some time: `?rights=rw&expires=1790000000&signature=…`.
///
/// The signature is HMAC-SHA256 over the stream's name, the rights and the second at which it is over, with a secret of
/// the server: nothing is stored, and a link can be taken back only with the secret. Pure.
package struct StreamLink: Equatable, Sendable {
  /// In this order in a URL: `r` reads, `w` creates, appends and closes, `d` deletes.
  package struct Rights: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let read = Rights(rawValue: 1)
    package static let write = Rights(rawValue: 2)
    package static let delete = Rights(rawValue: 4)
    package static let all: Rights = [.read, .write, .delete]

    private static let letters: [(Character, Rights)] = [("r", .read), ("w", .write), ("d", .delete)]

    package var text: String { String(Self.letters.filter { contains($0.1) }.map(\.0)) }

    package init?(_ text: String) {
      self = Rights(Self.letters.filter { letter in text.contains { $0 == letter.0 } }.map(\.1))
      guard !text.isEmpty, self.text == text else { return nil }
    }
  }

  package var stream: StreamName
  package var rights: Rights
  /// Seconds since 1970.
  package var expires: Int64

  package init(stream: StreamName, rights: Rights, expires: Int64) {
    self.stream = stream
    self.rights = rights
    self.expires = expires
  }

  /// Bytes of a secret: as many as its hash has are enough, fewer than this can be guessed.
  package static let secretLimit = 16

  /// What follows the stream's address behind `?`.
  package func query(secret: [UInt8]) -> String {
    "rights=\(rights.text)&expires=\(expires)&signature=\(signature(secret))"
  }

  /// Of the stream below any server, signed.
  package func address(secret: [UInt8]) -> String { "/streams/\(escapedPath(stream.path))?\(query(secret: secret))" }

  private func signature(_ secret: [UInt8]) -> String {
    // Each part's end is sure: a name has no line end, and the others are letters and digits.
    let text = "weir-link-1\n\(stream.path)\n\(rights.text)\n\(expires)"
    return HMAC.sha256(text.utf8, key: secret).map { byte in
      let digits = String(byte, radix: 16)
      return digits.utf8.count == 1 ? "0" + digits : digits
    }.joined()
  }

  /// The link in a query that has a `signature`, if it is good for `stream` now.
  static func verified(
    _ query: QueryString, _ stream: StreamName, secret: [UInt8]?, now: Int64
  ) throws(ServeFailure) -> StreamLink {
    guard let secret else { throw .badLink("this server signs no links") }
    guard let text = query["rights"], let rights = Rights(text), let moment = query["expires"],
      let expires = Int64(moment), String(expires) == moment, query.all("signature").count == 1,
      query.all("rights").count == 1, query.all("expires").count == 1
    else { throw .badLink("rights, expires or signature is missing or not understood") }
    let link = StreamLink(stream: stream, rights: rights, expires: expires)
    guard AccessPolicy.isSame(query["signature"] ?? "", link.signature(secret)) else {
      throw .badLink("the signature is not this server's for this stream")
    }
    guard now / 1000 < expires else { throw .badLink("it is over since \(Timestamp(milliseconds: expires * 1000))") }
    return link
  }
}

/// The secret with which a server signs links, kept beside its streams so that links live as long as they do.
package enum LinkSecret {
  package static let fileName = "link-secret"
  /// Somebody who has just made the file has written it by then.
  private static let patience = Duration.milliseconds(500)

  /// Reads it from a store's folder, or makes it there: 32 random bytes, for the owner's eyes alone. Of several processes that
  /// do so at once one makes it.
  package static func open(
    _ name: String = fileName, directory: String, disk: any Disk, random: any RandomSource, loop: any Loop,
    _ answer: @escaping (Result<[UInt8], DiskFailure>) -> Void
  ) {
    let path = directory + "/" + name
    func read(isPatient: Bool) {
      disk.read(path, limit: 1024) { result in
        switch result {
        case .success(let secret) where secret.count >= StreamLink.secretLimit: answer(.success(secret))
        // Another process is at it, or died over it: then nobody was told of a link that it signed.
        case .success where isPatient: _ = loop.after(patience) { read(isPatient: false) }
        case .success: make(.secret)
        case .failure(let failure) where failure.code == "FileNotFound": make(.newSecret)
        case .failure(let failure): answer(.failure(failure))
        }
      }
    }
    func make(_ mode: DiskMode) {
      disk.open(path, mode) { result in
        switch result {
        case .failure(.exists): read(isPatient: true)
        case .failure(let failure): answer(.failure(failure))
        case .success(let file): fill(file)
        }
      }
    }
    func fill(_ file: any DiskFile) {
      let secret = (0..<4).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } }
      func failed(_ failure: DiskFailure) {
        file.close()
        answer(.failure(failure))
      }
      file.write(secret, at: 0) { failure in
        if let failure { return failed(failure) }
        file.synchronize { failure in
          if let failure { return failed(failure) }
          file.close()
          disk.synchronizeDirectory(directory) { failure in
            answer(failure.map { .failure($0) } ?? .success(secret))
          }
        }
      }
    }
    read(isPatient: true)
  }
}
