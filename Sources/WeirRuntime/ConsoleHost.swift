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

  func environment(_ name: String) -> String? { world.environment[name] }
}
