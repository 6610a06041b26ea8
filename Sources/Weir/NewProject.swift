import WeirCore
import WeirIO

/// A folder that `weir new` makes. Nothing that is there already is touched; what could only be made in part is taken back.
package struct NewProject {
  /// As typed: a name, or a path whose last part is the name.
  package let folder: String
  let template: ProjectTemplate
  let name: String

  package static let nameLimit = 64

  package init(_ folder: String, _ template: ProjectTemplate) throws(NewProjectFailure) {
    var path = folder[...]
    while path.count > 1, path.last == "/" { path.removeLast() }
    self.folder = String(path)
    self.template = template
    name = Path.name(of: self.folder)
    guard Self.isName(name) else { throw .badName(name) }
  }

  /// It becomes a title, a word in commands and the name of a folder on any system.
  private static func isName(_ name: String) -> Bool {
    guard let first = name.utf8.first, name.utf8.count <= nameLimit else { return false }
    let isLetter = { (byte: UInt8) in (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) }
    return isLetter(first)
      && name.utf8.allSatisfy { isLetter($0) || (0x30...0x39).contains($0) || $0 == 0x2D || $0 == 0x5F }
  }

  /// The paths made, in order.
  package func make() throws(NewProjectFailure) -> [String] {
    var made: [String] = []
    do throws(DiskFailure) {
      try HostProcess.makeFolder(folder)
      made.append(folder)
      for (file, text) in template.files(name) {
        let path = Path.join(folder, file)
        made.append(path)
        try HostProcess.create(path, with: Array(text.utf8))
      }
    } catch {
      for path in made.reversed() { HostProcess.takeBack(path) }
      throw .disk(error)
    }
    return Array(made.dropFirst())
  }
}

package enum NewProjectFailure: Failure {
  case badName(String)
  case disk(DiskFailure)

  package var code: String {
    switch self {
    case .badName: "BadName"
    case .disk(let failure): failure.code
    }
  }
  package var message: String {
    switch self {
    case .badName(let name): "\"\(Terminal.printable(name))\" cannot be a project's name"
    case .disk(let failure): failure.message
    }
  }
  package var hint: String? {
    switch self {
    case .badName: "a letter, then letters, digits, - and _, at most \(NewProject.nameLimit) in all"
    case .disk(.exists): "choose another name, or remove what is there"
    case .disk(.notFound): "the folder that it is made in must be there"
    case .disk: nil
    }
  }
}
