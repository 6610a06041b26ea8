/// Why a run has not completed, whatever its program makes of that: what it leaves behind is not what it was to be.
package struct RunFlaw: Equatable, Sendable {
  package var code: String
  package var message: String
  package var hint: String

  /// A resumed run does not write a stream as an earlier life of it did.
  static func diverged(_ namespace: String, _ reason: String) -> RunFlaw {
    RunFlaw(
      code: "RunDiverged", message: "stream \"\(namespace)\" was aborted: \(reason)",
      hint: "what may come out otherwise the next time is kept by a step: let it be the step's value")
  }

  /// An item of a stream could not be kept: whatever came behind it would hide the gap.
  static func cut(_ namespace: String, _ reason: String) -> RunFlaw {
    RunFlaw(
      code: "StreamCut", message: "stream \"\(namespace)\" was aborted: \(reason)",
      hint: "nothing is added behind an item that is missing; let the run begin anew when the store takes it")
  }
}
