import WeirCore
import WeirIO
import WeirServe
import WeirStore

/// The secret that links to one stream are signed with: `WEIR_LINK_SECRET`, else the one kept in a store's folder.
/// For the command line: each question blocks until it is answered.
package enum LinkSigning {
  package static let variable = "WEIR_LINK_SECRET"
  /// Bytes of a secret, at least.
  package static let secretLimit = StreamLink.secretLimit

  package struct NoLink: Failure {
    package var code: String { "NoLink" }
    package var message: String
    package var hint: String?
    package init(message: String, hint: String?) {
      self.message = message
      self.hint = hint
    }
  }

  /// The secret of a store. `mayMake`: one is made where there is none, with the folder; else the answer is nil then.
  package static func secret(
    in store: StoreOptions, mayMake: Bool, file name: String = LinkSecret.fileName
  ) throws(DiskFailure) -> [UInt8]? {
    guard case .folder(let path) = store.choice else { return nil }
    let file = path + "/" + name
    guard mayMake || HostProcess.isFile(file) else { return nil }
    let result: Result<[UInt8], DiskFailure> = Awaited.value { world, answer in
      StoreChoice.makeFolders(above: file, world.disk) { failure in
        if let failure { return answer(.failure(failure)) }
        LinkSecret.open(
          name, directory: path, disk: world.disk, random: world.random, loop: world.loop, answer)
      }
    }
    return try result.get()
  }

  /// What a store's subscriptions are signed with: `webhook-key`, and `wake-key`, so that replacing the first leaves the tokens of
  /// those at work good. Whoever replaces it leaves the one before as `webhook-key.old`. Nil: there are none, or they are not kept.
  package static func subscriptionKeys(
    in store: StoreOptions, mayMake: Bool
  ) throws(DiskFailure) -> SubscriptionKeys? {
    guard case .folder(let path) = store.choice,
      let webhooks = try secret(in: store, mayMake: mayMake, file: "webhook-key"),
      let tokens = try secret(in: store, mayMake: mayMake, file: "wake-key")
    else { return nil }
    var old: [UInt8]?
    let file = path + "/webhook-key.old"
    if HostProcess.isFile(file) {
      let result: Result<[UInt8], DiskFailure> = Awaited.value { world, answer in
        world.disk.read(file, limit: 1024, answer)
      }
      old = try result.get()
    }
    return SubscriptionKeys(webhooks: webhooks, oldWebhooks: old, tokens: tokens)
  }

  /// The address below a server for whoever may use one stream and nothing else, until then. The secret is asked for when a
  /// server would take the link.
  package static func link(
    _ name: String, rights: String, for time: Duration, secret: () throws -> [UInt8]
  ) throws -> String {
    let stream = try StreamName(name)
    guard let rights = StreamLink.Rights(rights) else {
      throw NoLink(
        message: "\"\(rights)\" are no rights", hint: "r reads, w writes, d deletes, in this order: r, rw, rwd")
    }
    if stream.isInternal || stream.isReserved {
      throw NoLink(message: "\"\(name)\" is the server's own, and no link opens it", hint: nil)
    }
    if stream.isOwned, rights != .read {
      throw NoLink(
        message: "\"\(name)\" is written by its run or agent alone: a link cannot give \(rights.text)",
        hint: "--rights r is what a server grants")
    }
    let now: Int64 = Awaited.value { world, answer in answer(world.loop.wallClock) }
    let expires = now / 1000 + time.milliseconds / 1000
    return StreamLink(stream: stream, rights: rights, expires: expires).address(secret: try secret())
  }
}
