import WeirCore

/// What model calls of a program may cost, and what they have cost: reserve, then settle (spec/ai.md, Budgets).
///
/// Before a call its worst case is set aside; while it streams, what it has produced is compared with that; at its end the
/// rest is given back. What is set aside and what is spent never exceed a limit together, so calls that race for one budget
/// overshoot it by one piece of an answer each at most, when the provider counts as Weir does.
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

  package init(limit: Double? = nil, wallClock: @escaping () -> Int64) {
    self.limit = limit
    self.wallClock = wallClock
    day = wallClock() / 86_400_000
  }

  /// USD of everything that has ended.
  package var spent: Double { whole.spent }
  /// USD of everything under way, as far as it was set aside.
  package var reserved: Double { whole.reserved }

  // MARK: Reserving

  func reserve(
    _ provider: ProviderConfig, model: String, inputTokens: Int, maxTokens: Int?
  ) throws(RunFailure) -> Reservation {
    let isBound = limit != nil || provider.budget != ProviderBudget()
    guard isBound else {
      return Reservation(self, provider, model, base: 0, granted: nil, maxTokens: maxTokens, isWhole: true)
    }
    guard let cost = provider.cost else {
      throw RunFailure(
        .budgetExhausted, "provider \"\(provider.name)\" says nothing of its prices, so no budget can be kept",
        hint: "give it cost = { input_per_1m_usd = …, output_per_1m_usd = … }")
    }
    let base = cost.perCallUSD + Double(inputTokens) * cost.inputPer1MUSD / 1e6
    let worst = base + Double(maxTokens ?? Self.outputTokensDefault) * cost.outputPer1MUSD / 1e6
    let (left, what) = available(provider)
    // A free call needs nothing; any other at least one token of an answer.
    if worst > 0, left < base + cost.outputPer1MUSD / 1e6 {
      throw RunFailure(
        .budgetExhausted,
        "\(what) has \(Self.shown(max(0, left))) USD left, and the question alone costs \(Self.shown(base))")
    }
    let granted = min(worst, left)
    add(reserved: granted, provider)
    return Reservation(
      self, provider, model, base: base, granted: granted, maxTokens: maxTokens, isWhole: granted == worst)
  }

  /// The least of what the limits leave, and whose it is.
  private func available(_ provider: ProviderConfig) -> (left: Double, what: String) {
    turnDay()
    var least = (left: Double.infinity, what: "")
    func ask(_ limit: Double?, _ account: Account?, _ what: String) {
      guard let limit else { return }
      let left = (account ?? Account()).left(of: limit)
      if left < least.left { least = (left, what) }
    }
    ask(limit, whole, "the budget of this run (\(Self.shown(limit ?? 0)) USD)")
    ask(provider.budget.usdPerRun, perProvider[provider.name], "provider \"\(provider.name)\" (usd_per_run)")
    ask(provider.budget.usdPerDay, perDay[provider.name], "provider \"\(provider.name)\" (usd_per_day)")
    return least
  }

  /// UTC days.
  private func turnDay() {
    let now = wallClock() / 86_400_000
    if now != day { perDay = perDay.mapValues { Account(spent: 0, reserved: $0.reserved) } }
    day = now
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
    let name = (reservation.provider.name, reservation.model)
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
  let provider: ProviderConfig
  let model: String
  private let ledger: BudgetLedger
  /// USD of the question.
  private let base: Double
  /// Nil: no limit applies.
  fileprivate private(set) var granted: Double?
  private let isExtendable: Bool
  /// The provider itself stops at what was set aside.
  private let isBounded: Bool
  private var outputTokens = 0
  private var largestPiece = 0
  private var isSettled = false

  fileprivate init(
    _ ledger: BudgetLedger, _ provider: ProviderConfig, _ model: String, base: Double, granted: Double?,
    maxTokens: Int?,
    isWhole: Bool
  ) {
    self.ledger = ledger
    self.provider = provider
    self.model = model
    self.base = base
    self.granted = granted
    isExtendable = maxTokens == nil
    isBounded = maxTokens != nil && isWhole
  }

  var isUnlimited: Bool { granted == nil }

  /// A piece of the answer came. False: what was set aside is used up, and there is no more.
  func produced(byteCount: Int) -> Bool {
    guard let granted, let cost = provider.cost, cost.outputPer1MUSD > 0 else { return true }
    // A piece is a token at least, whatever its length.
    let tokens = max(1, TokenEstimate.tokens(byteCount: byteCount))
    outputTokens += tokens
    largestPiece = max(largestPiece, tokens)
    // The next piece has to fit as well: who is cut after it came has paid for it.
    let needed = base + Double(outputTokens + (isBounded ? 0 : largestPiece)) * cost.outputPer1MUSD / 1e6
    guard needed > granted + 1e-12 else { return true }
    guard isExtendable else { return false }
    let step = Double(max(BudgetLedger.outputTokensDefault, largestPiece)) * cost.outputPer1MUSD / 1e6
    let more = ledger.extend(provider, by: step)
    self.granted = granted + more
    return needed <= granted + more + 1e-12
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
