import WeirCore
import WeirLang

/// What std/io and std/env reach: the console and the environment of the world, and the program's arguments.
final class ConsoleHost: ProgramHost {
  private let world: World
  private let input: ProgramInput
  let arguments: [String]
  var onExit: ((Int) -> Void)?

  init(world: World, input: ProgramInput, arguments: [String]) {
    self.world = world
    self.input = input
    self.arguments = arguments
  }

  func write(_ text: String, to stream: ProgramOutput) {
    world.console.write(text, to: stream == .output ? .output : .error)
  }

  func flush() { world.console.flush() }

  func readLine(_ answer: @escaping (String?) -> Void) { input.readLine(answer) }

  func exit(_ code: Int) { onExit?(code) }

  /// What the program has read from the environment: must not be in what is said about a request that carries it.
  private(set) var environmentValues: Set<String> = []

  func environment(_ name: String) -> String? {
    let value = world.environment[name]
    if let value, value.utf8.count >= Secrets.shortestByteCount { environmentValues.insert(value) }
    return value
  }
}
