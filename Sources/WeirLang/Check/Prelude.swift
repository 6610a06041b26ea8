/// What every program has without import: the two types every signature needs, and where the rest is found.
///
/// `Option` and `Result` are known to the checker itself (`f?: T`, `e?`, `nil`); their functions are in the library.
/// The prelude's functions are what the library's module `std/prelude` exports.
final class Prelude {
  /// Module name of the built-in types.
  static let module = "std/prelude"
  static let optionID = 1
  static let resultID = 2

  let option: NamedType
  let result: NamedType
  let some, none, ok, err: SumCase

  init(_ unifier: Unifier) {
    option = NamedType(name: "Option", module: Self.module, parameters: ["a"])
    result = NamedType(name: "Result", module: Self.module, parameters: ["a", "e"])
    unifier.enterLevel()
    let a = unifier.freshVariable()
    some = SumCase(name: "Some", index: 0, owner: option, variables: [a])
    none = SumCase(name: "None", index: 1, owner: option, variables: [a])
    some.fields = [.variable(a)]
    let t = unifier.freshVariable()
    let e = unifier.freshVariable()
    ok = SumCase(name: "Ok", index: 0, owner: result, variables: [t, e])
    err = SumCase(name: "Err", index: 1, owner: result, variables: [t, e])
    ok.fields = [.variable(t)]
    err.fields = [.variable(e)]
    unifier.leaveLevel()
    option.constructors = [some, none]
    result.constructors = [ok, err]
    unifier.option = option
  }

  func type(_ name: String) -> NamedType? {
    switch name {
    case "Option": option
    case "Result": result
    default: nil
    }
  }

  func constructor(_ name: String) -> SumCase? {
    switch name {
    case "Some": some
    case "None": none
    case "Ok": ok
    case "Err": err
    default: nil
    }
  }
}
