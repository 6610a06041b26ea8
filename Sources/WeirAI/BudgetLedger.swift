import WeirCore

/// What model calls of a program may cost, and what they have cost: reserve, then settle (spec/ai.md, Budgets).
///
/// Before a call its worst case is set aside; while it streams, what it has produced is compared with that, and more is set
/// aside where there is more; at its end the rest is given back. What is set aside and what is spent never exceed a limit
/// together. A provider that stops at `max_tokens` is trusted to: its answer is not cut for a guess. One that does not, or was
/// told no limit, is cut in front of the piece that would not be paid, when it counts as Weir does.
package final class BudgetLedger {
  /// Output set aside for a call that names no limit of its own: its worst case is not known, so it gets this much at a
  /// time, for as long as there is any.
  static let outputTokensDefault = 256

  /// Of one provider and model, for `--budget-report`.
  package struct Row: Equatable {
    package var provider: String
    package var model: String
    package var calls = 0
    package var usage = Usage()
    package var usd = 0.0
  }

  /// USD for the whole run (`--max-cost`); nil: no limit.
  private let limit: Double?
  private let wallClock: () -> Int64
  /// Told of every call that was paid.
  package var onSpent: (_ usd: Double, _ provider: String) -> Void = { _, _ in }
  /// Where the day's spending outlives the process. Nil: it does not.
  private let log: SpendingLog?
  package private(set) var rows: [Row] = []
  private var whole = Account()
  private var perProvider: [String: Account] = [:]
  private var perDay: [String: Account] = [:]
  private var day: Int64

  private struct Account {
    var spent = 0.0
    var reserved = 0.0
    func left(of limit: Double) -> Double { limit - spent - reserved }
  }

  /// `before`: USD by provider that the run has spent in other processes.
  package init(
    limit: Double? = nil, before: [String: Double] = [:], log: SpendingLog? = nil, wallClock: @escaping () -> Int64
  ) {
    whole.spent = before.values.reduce(0, +)
    perProvider = before.mapValues { Account(spent: $0) }
    self.limit = limit
    self.log = log
    self.wallClock = wallClock
    day = SpendingLog.day(of: wallClock())
  }

  /// USD of everything that has ended.
  package var spent: Double { whole.spent }
  /// USD of everything under way, as far as it was set aside.
  package var reserved: Double { whole.reserved }

  // MARK: Reserving

  /// Before something is set aside for a provider with `usd_per_day`: answers when it is known what the day has cost, inside the call
  /// if it is, or with the failure that the call ends with because it cannot be known.
  func prepare(_ provider: ProviderConfig, _ answer: @escaping (RunFailure?) -> Void) {
    guard let log, provider.budget.usdPerDay != nil else { return answer(nil) }
    turnDay()
    log.refresh(on: day, answer)
  }

  func reserve(_ chat: PreparedChat) throws(RunFailure) -> Reservation {
    let provider = chat.provider
    guard limit != nil || provider.budget != ProviderBudget() else { return Reservation(self, chat, base: 0) }
    guard let cost = provider.cost else {
      throw RunFailure(
        .budgetExhausted, "provider \"\(provider.name)\" says nothing of its prices, so no budget can be kept",
        hint: "give it cost = { input_per_1m_usd = …, output_per_1m_usd = … }")
    }
    let base = cost.perCallUSD + Double(chat.estimatedInputTokens) * cost.inputPer1MUSD / 1e6
    // The token behind the last one shows a provider that goes on past its limit.
    let tokens = chat.options.maxTokens.map { Double($0) + 1 } ?? Double(Self.outputTokensDefault)
    let worst = base + tokens * cost.outputPer1MUSD / 1e6
    let (left, what) = available(provider)
    // A free call needs nothing; any other at least one token of an answer.
    if worst > 0, left < base + cost.outputPer1MUSD / 1e6 {
      throw RunFailure(
        .budgetExhausted,
        "\(what) has \(Self.shown(max(0, left))) USD left, and the question alone costs \(Self.shown(base))")
    }
    let granted = min(worst, left)
    add(reserved: granted, provider)
    return Reservation(self, chat, base: base, granted: granted)
  }

  /// The least of what the limits leave, and whose it is.
  private func available(_ provider: ProviderConfig) -> (left: Double, what: String) {
    turnDay()
    var least = (left: Double.infinity, what: "")
    func ask(_ limit: Double?, _ account: Account?, others: Double = 0, _ what: String) {
      guard let limit else { return }
      let left = (account ?? Account()).left(of: limit) - others
      if left < least.left { least = (left, what) }
    }
    ask(limit, whole, "the budget of this run (\(Self.shown(limit ?? 0)) USD)")
    ask(provider.budget.usdPerRun, perProvider[provider.name], "provider \"\(provider.name)\" (usd_per_run)")
    ask(
      provider.budget.usdPerDay, perDay[provider.name], others: log?.others(of: provider.name) ?? 0,
      "provider \"\(provider.name)\" (usd_per_day)")
    return least
  }

  /// UTC days.
  private func turnDay() {
    let now = SpendingLog.day(of: wallClock())
    guard now != day else { return }
    perDay = perDay.mapValues { Account(spent: 0, reserved: $0.reserved) }
    day = now
    log?.turned(to: now)
  }

  private func add(spent: Double = 0, reserved: Double, _ provider: ProviderConfig) {
    func add(to account: inout Account) {
      account.spent += spent
      account.reserved = max(0, account.reserved + reserved)
    }
    add(to: &whole)
    add(to: &perProvider[provider.name, default: Account()])
    add(to: &perDay[provider.name, default: Account()])
  }

  fileprivate func extend(_ provider: ProviderConfig, by wanted: Double) -> Double {
    let more = min(wanted, available(provider).left)
    guard more > 0 else { return 0 }
    add(reserved: more, provider)
    return more
  }

  fileprivate func settle(_ reservation: Reservation, _ usage: Usage?, usd: Double) {
    turnDay()
    add(spent: usd, reserved: -(reservation.granted ?? 0), reservation.provider)
    if usd > 0 { onSpent(usd, reservation.provider.name) }
    if reservation.provider.budget.usdPerDay != nil { log?.add(usd, by: reservation.provider.name, on: day) }
    let name = (reservation.provider.name, reservation.chat.model)
    let index =
      rows.firstIndex { ($0.provider, $0.model) == name }
      ?? {
        rows.append(Row(provider: name.0, model: name.1))
        return rows.count - 1
      }()
    rows[index].calls += 1
    rows[index].usd += usd
    if let usage {
      rows[index].usage.inputTokens += usage.inputTokens
      rows[index].usage.outputTokens += usage.outputTokens
      rows[index].usage.cachedInputTokens += usage.cachedInputTokens
      rows[index].usage.estimated = rows[index].usage.estimated || usage.estimated
    }
  }

  // MARK: Telling

  /// A table for people; "" when nothing was called.
  package var report: String {
    guard !rows.isEmpty else { return "" }
    let sorted = rows.sorted { ($0.provider, $0.model) < ($1.provider, $1.model) }
    var lines = [["provider", "model", "calls", "input", "output", "USD"]]
    for row in sorted {
      let mark = row.usage.estimated ? "~" : ""
      lines.append([
        row.provider, row.model, "\(row.calls)", mark + "\(row.usage.inputTokens)", mark + "\(row.usage.outputTokens)",
        Self.shown(row.usd),
      ])
    }
    let total = rows.reduce(into: Row(provider: "", model: "")) {
      $0.calls += $1.calls
      $0.usage.inputTokens += $1.usage.inputTokens
      $0.usage.outputTokens += $1.usage.outputTokens
      $0.usd += $1.usd
    }
    lines.append([
      "total", "", "\(total.calls)", "\(total.usage.inputTokens)", "\(total.usage.outputTokens)", Self.shown(total.usd),
    ])
    let widths = lines[0].indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    return lines.map { cells in
      zip(cells.indices, cells).map { column, cell in
        let space = String(repeating: " ", count: widths[column] - cell.count)
        return column < 2 ? cell + space : space + cell
      }.joined(separator: "  ") + "\n"
    }.joined()
  }

  /// Six places: a token costs a millionth.
  package static func shown(_ usd: Double) -> String {
    let millionths = (usd * 1e6).rounded()
    guard millionths.isFinite, abs(millionths) < 1e15 else { return "\(usd)" }
    let whole = Int(millionths)
    let rest = String(whole % 1_000_000)
    return "\(whole / 1_000_000)." + String(repeating: "0", count: 6 - rest.count) + rest
  }
}

/// What one try of a call has set aside.
final class Reservation {
  let chat: PreparedChat
  var provider: ProviderConfig { chat.provider }
  private let ledger: BudgetLedger
  /// USD of the question.
  private let base: Double
  /// Nil: no limit applies.
  fileprivate private(set) var granted: Double?
  private var delivered = TokenCounter()
  private var byteCount = 0
  private var pieces = 0
  private var outputTokens = 0
  private var largestPiece = 0
  private var isSettled = false

  fileprivate init(_ ledger: BudgetLedger, _ chat: PreparedChat, base: Double, granted: Double? = nil) {
    self.ledger = ledger
    self.chat = chat
    self.base = base
    self.granted = granted
  }

  var isUnlimited: Bool { granted == nil }

  /// A piece of the answer came. False: what was set aside is used up, and there is no more.
  func produced(_ text: String) -> Bool {
    guard let granted, let cost = provider.cost, cost.outputPer1MUSD > 0 else { return true }
    delivered.add(text)
    byteCount += text.utf8.count
    pieces += 1
    let guess = chat.estimatedOutputTokens(delivered)
    // With care: a piece is a token at least, whatever its length.
    let tokens = max(pieces, guess)
    largestPiece = max(largestPiece, tokens - outputTokens)
    outputTokens = tokens
    func usd(_ tokens: Int) -> Double { base + Double(tokens) * cost.outputPer1MUSD / 1e6 }
    // The next piece has to fit as well: who is cut after it came has paid for it.
    let needed = usd(tokens + largestPiece)
    guard needed > granted + Self.slack else { return true }
    let step = chat.options.maxTokens == nil ? max(BudgetLedger.outputTokensDefault, largestPiece) : 0
    let isPaid = extend(to: max(needed, granted + usd(step) - base)) >= needed - Self.slack
    guard !isPaid, let limit = chat.options.maxTokens, granted >= usd(limit) - Self.slack else { return isPaid }
    // All that it may say is paid. Guesses may be too high, so a provider is only cut for going on past its limit when
    // that is no matter of guessing: by pieces, which are rarely less than a token, and tokens are rarely of 8 bytes.
    return max(min(pieces, guess), byteCount / 8) <= limit
  }

  /// Of rounding.
  private static let slack = 1e-12

  private func extend(to wanted: Double) -> Double {
    let total = (granted ?? 0) + ledger.extend(provider, by: wanted - (granted ?? 0))
    granted = total
    return total
  }

  /// Once, when the try is over. `usage` nil: the provider did nothing that it would be paid for.
  func settle(_ usage: Usage?) {
    guard !isSettled else { return }
    isSettled = true
    ledger.settle(self, usage, usd: usage.map { provider.cost?.usd($0) ?? 0 } ?? 0)
  }

  /// A try that was given up without an end is paid as far as it came.
  deinit { settle(outputTokens == 0 ? nil : Usage(outputTokens: outputTokens, estimated: true)) }
}

extension ProviderCost {
  /// Of one call. Cached input is a part of the input.
  package func usd(_ usage: Usage) -> Double {
    let cached = min(usage.cachedInputTokens, usage.inputTokens)
    let input =
      Double(usage.inputTokens - cached) * inputPer1MUSD + Double(cached) * (cachedInputPer1MUSD ?? inputPer1MUSD)
    return perCallUSD + (input + Double(usage.outputTokens) * outputPer1MUSD) / 1e6
  }
}
