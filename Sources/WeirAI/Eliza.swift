/// The offline model: a small rule-based conversation partner, so that every example, demo and test runs without a
/// network or a key. It says plainly what it is. Pure: the same messages give the same reply.
///
/// How: the last user message is split into sentences; the first rule (by rank) whose key is found takes what follows
/// the key, turns the person around ("my" → "your") and puts it into one of its templates, which take turns with the
/// user's turns. The idea is Joseph Weizenbaum's (CACM 9, 1966); rules and text are Weir's own (`ElizaScript`).
package enum Eliza {
  package static let name = "eliza"

  /// Of a message that is looked at.
  static let inputByteLimit = 4_096

  package static func reply(to messages: [ChatMessage]) -> String {
    let turns = messages.filter { $0.role == "user" }
    guard let last = turns.last else { return ElizaScript.introduction }
    let answer = answer(String(last.text.prefix(inputByteLimit)), turn: turns.count - 1)
    // Once, at the start of a conversation, so that nobody takes it for a language model.
    return turns.count == 1 && answer.rank < ElizaScript.selfRank
      ? ElizaScript.introduction + " " + answer.text : answer.text
  }

  /// Every word with the white space before it: joined they are the text again.
  package static func words(_ text: String) -> [String] {
    var words: [String] = []
    var current = ""
    var hasLetter = false
    for character in text {
      if character.isWhitespace, hasLetter {
        words.append(current)
        current = ""
        hasLetter = false
      }
      if !character.isWhitespace { hasLetter = true }
      current.append(character)
    }
    if !current.isEmpty { words.append(current) }
    return words
  }

  private static func answer(_ input: String, turn: Int) -> (text: String, rank: Int) {
    var best: (rule: ElizaScript.Rule, rest: [String])?
    for sentence in sentences(input) {
      for rule in ElizaScript.rules where rule.rank > best?.rule.rank ?? -1 {
        for key in rule.keys {
          guard let end = find(key, in: sentence) else { continue }
          best = (rule, Array(sentence[end...]))
          break
        }
      }
    }
    guard let (rule, rest) = best else {
      let fallback = ElizaScript.fallbacks
      return (fallback[turn % fallback.count], 0)
    }
    let turned = reflect(rest)
    // Templates with a hole need something to put there.
    let usable = turned.isEmpty ? rule.replies.filter { !$0.contains("*") } : rule.replies
    let replies = usable.isEmpty ? ElizaScript.fallbacks : usable
    return (replies[turn % replies.count].replacing(text: "*", with: turned), rule.rank)
  }

  /// Lower-case words; a sentence ends at punctuation, also in the middle ("hello, I need help" is two).
  static func sentences(_ text: String) -> [[String]] {
    var sentences: [[String]] = [[]]
    var word = ""
    func endWord() {
      if !word.isEmpty { sentences[sentences.count - 1].append(word) }
      word = ""
    }
    for character in text.lowercased() {
      switch character {
      case ".", "!", "?", ",", ";", ":", "\n", "(", ")", "\"":
        endWord()
        if sentences.last?.isEmpty == false { sentences.append([]) }
      case "’": word.append("'")
      case _ where character.isWhitespace: endWord()
      default: word.append(character)
      }
    }
    endWord()
    return sentences.filter { !$0.isEmpty }
  }

  /// Where the key's words end, if they stand in the sentence in a row.
  private static func find(_ key: [String], in sentence: [String]) -> Int? {
    guard key.count <= sentence.count else { return nil }
    for start in 0...(sentence.count - key.count) where sentence[start..<(start + key.count)].elementsEqual(key) {
      return start + key.count
    }
    return nil
  }

  static func reflect(_ words: [String]) -> String {
    words.map { ElizaScript.reflections[$0] ?? $0 }.joined(separator: " ")
  }
}
