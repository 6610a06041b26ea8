import WeirCore

/// What a child process inherits of the environment: all of it but what looks like a secret, unless it was asked for
/// (`--process-env`). A program that may start others would reach every key of its user otherwise, without having been
/// granted `Env`.
package enum ChildEnvironment {
  /// A variable with one of these words in its name holds a secret: `AWS_SECRET_ACCESS_KEY`, `GITHUB_TOKEN`.
  static let secretWords: Set<String> = [
    "APIKEY", "AUTH", "AUTHORIZATION", "CREDENTIAL", "CREDENTIALS", "KEY", "KEYS", "PASS", "PASSPHRASE", "PASSWD",
    "PASSWORD", "PAT", "PGPASSWORD", "PRIVATE", "SECRET", "SECRETS", "TOKEN", "TOKENS",
  ]

  /// `keys`: the variables that providers take their keys from. `asked`: names to pass on all the same; `*` is all.
  package static func inherited(
    _ all: [EnvironmentVariable], keys: Set<String>, asked: [String]
  ) -> [EnvironmentVariable] {
    if asked.contains("*") { return all }
    return all.filter { asked.contains($0.name) || !(keys.contains($0.name) || isSecret($0.name, $0.value)) }
  }

  static func isSecret(_ name: String, _ value: String) -> Bool {
    // The path of a socket or a file is not the secret itself (SSH_AUTH_SOCK, GIT_ASKPASS).
    if name.hasSuffix("_SOCK") || name.hasSuffix("_FILE") || name.hasSuffix("_PATH") { return false }
    if name.uppercased().split(separator: "_").contains(where: { secretWords.contains(String($0)) }) { return true }
    return hasPassword(value)
  }

  /// `scheme://user:password@host`, as addresses of databases and proxies are written.
  private static func hasPassword(_ value: String) -> Bool {
    guard let scheme = value.range(ofText: "://") else { return false }
    let authority = value[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    guard let at = authority.lastIndex(of: "@") else { return false }
    return authority[..<at].contains(":")
  }
}
