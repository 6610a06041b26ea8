import Testing

@testable import WeirLang

@Suite struct MachineLibraryTests {
  @Test func theLibraryFitsItsNatives() { #expect(Library.language.mismatches() == []) }

  @Test func everyModuleChecks() {
    for module in Library.language.modules {
      let text = "import \(module.name) as m\nlet x = 1\n"
      let checked = Checker.check(name: "t.weir", bytes: Array(text.utf8), library: .language)
      #expect(checked.diagnostics.filter { $0.severity == .error }.map(\.title) == [], "\(module.name)")
    }
  }

  private func mismatches(_ source: String, _ natives: [Native], types: [TypeTag] = []) -> [String] {
    Library([LibraryModule(name: "m", source: source, natives: natives, types: types)]).mismatches()
  }

  @Test func whatDoesNotFitIsNamed() {
    let twice = WeirLang.native("twice") { (x: Int) in x * 2 }
    #expect(mismatches("extern func twice(x: int) -> int", [twice]) == [])
    #expect(mismatches("extern func twice(x: int) -> int", []) == ["m: twice has 0 natives"])
    #expect(mismatches("", [twice]) == ["m: the native twice is not declared"])
    #expect(
      mismatches("extern func twice(x: int, y: int) -> int", [twice]) == ["m: twice has 2 parameters and its native 1"])
    #expect(
      mismatches("extern func twice(x: string) -> [int]", [twice]) == [
        "m: twice: x is declared string, its native takes int",
        "m: twice is declared to give [int], its native gives int",
      ])
    let options = WeirLang.native("f") { (x: Int?, y: [String]) -> Outcome<Bytes, String> in .ok(Bytes([])) }
    #expect(mismatches("extern func f(x: int?, y: List[string]) -> Result[bytes, string]", [options]) == [])
    #expect(
      mismatches("type T = B | A", [], types: [TypeTag(200, "T", ["A", "B"])]) == [
        "m: the constructors of T are not those that natives use"
      ])
    #expect(
      Library([
        LibraryModule(name: "a", source: "", natives: [], types: [TypeTag(200, "T", [])]),
        LibraryModule(name: "b", source: "", natives: [], types: [TypeTag(200, "U", [])]),
      ]).mismatches() == ["type id 200 is T's and U's"])
  }

  @Test func aMissingNativeIsRefusedBeforeRunning() {
    let core = program(function("f", [], native(0)), natives: [CoreNative(module: "m", name: "x", arity: 0)])
    #expect(throws: EmitFailure.missingNative(module: "m", name: "x")) { try Emitter.emit(core) }
  }
}
