import WeirCore
import WeirFlow
import WeirLang
import WeirNet

extension ProgramInstance {
  /// How a program is run, as its owner says: the command line, or whoever uses the library.
  package struct Options {
    /// USD that model calls may cost altogether (`--max-cost`).
    package var maxCost: Double?
    /// Uses of effects by the whole program (`--budget`).
    package var effects: [EffectLimit] = []
    /// Writes a span for every model call into this file (`--trace`).
    package var trace: String?
    /// Spans hold what was asked and answered (`--trace-content`).
    package var tracesContent = false
    /// Of Weir, as spans name it.
    package var version = ""
    /// What was called and what it cost, at the end (`--budget-report`).
    package var reportsBudget = false
    /// For agents that name no provider or model (`--ai`, `--model`).
    package var provider: String?
    package var model: String?
    /// The program's own command-line arguments.
    package var arguments: [String] = []
    package var server = ServerOptions()
    package var streams = StreamLimits()
    /// Of each request of std/net.
    package var net = HTTPCall.Limits()
    /// Where the program itself may connect. Providers are the user's own configuration, and not asked.
    package var network = NetworkPolicy()
    package var processes = ProcessPolicy()
    /// The id under which what the program does itself is durable (`--run-id`); nil: one of its own.
    package var runID: String?
    /// The run has begun in another process: what that has left is ended with it, whether it comes past it or not.
    package var takesUp = false
    /// USD by provider that this run has spent in other processes.
    package var spentBefore: [String: Double] = [:]
    /// What starts this run again, for its journal.
    package var begun: JSONValue = [:]
    /// How long what has ended stays (`--keep`).
    package var retention = RunRetention()
    /// Writes down what sources yield, into this file (`--record`).
    package var record: String?
    /// Sources are those of a recording (`--replay`), no faster than `replaySpeed` times as it was; nil: as fast as can be.
    package var replay: Recording?
    package var replaySpeed: Double?
    package init() {}
  }
}
