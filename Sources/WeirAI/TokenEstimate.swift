import WeirCore

/// Guesses how many tokens a text is, where the provider does not say: by the kinds of its characters, as the byte-pair
/// vocabularies of about 200 000 tokens cut text. Any cut of the same text gives the same number.
///
/// Beside `o200k_base` it is at most 10 % off in the texts of the tests, which are prose of nine languages, code, tables and
/// numbers; but how many Chinese characters are a token depends on what they are about, and other vocabularies count scripts that
/// are not Latin up to twice as high. `TokenRatios` learns that from what the provider says.
package struct TokenCounter: Equatable, Sendable {
  enum Script: Int, CaseIterable { case latin, eastAsian, other }
  private enum Run { case none, word, digits, punctuation, spaces, lines }

  /// In hundredths of a token: words that have ended, all else that has, and the run that goes on.
  private var words = 0
  private var rest = 0
  private var eastAsian = 0
  private var other = 0
  private var wordCount = 0
  /// Letters with marks: words of languages that have them are rarer in vocabularies, also those without one.
  private var marks = 0
  private var run = Run.none
  private var length = 0
  private var lastIsLower = false

  package init() {}

  /// Rounded up.
  package var tokens: Int {
    var sum = self
    sum.end()
    let rarer = sum.wordCount == 0 ? 0 : min(15, 200 * sum.marks / sum.wordCount)
    return (sum.words * (100 + rarer) / 100 + sum.rest + sum.eastAsian + sum.other + 99) / 100
  }

  package var isEmpty: Bool { self == TokenCounter() }

  /// Of most of it.
  var script: Script {
    if eastAsian > words + rest, eastAsian > other { return .eastAsian }
    return other > words + rest ? .other : .latin
  }

  package mutating func add(_ text: String) {
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x61...0x7A: letter(isUpper: false)
      case 0x41...0x5A: letter(isUpper: true)
      case 0x30...0x39:
        // The space in front of a number is a token of its own.
        if run == .spaces, length == 1 { length = 2 }
        enter(.digits)
      case 0x20, 0x09, 0x0D: if run == .lines { length += 1 } else { enter(.spaces) }
      case 0x0A: enter(.lines)
      case 0..<0x80: enter(.punctuation)
      case 0xC0..<0x250:
        letter(isUpper: false)
        marks += 1
      default:
        end()
        add(scalar.value)
      }
    }
  }

  private mutating func letter(isUpper: Bool) {
    // camelCase
    if isUpper, lastIsLower, run == .word { end() }
    enter(.word)
    lastIsLower = !isUpper
  }

  private mutating func enter(_ next: Run) {
    if run != next {
      end()
      run = next
    }
    length += 1
  }

  private mutating func end() {
    switch run {
    case .none: return
    case .word:
      words += 100 + max(0, length - 6) * 25
      wordCount += 1
    case .digits: rest += (length + 2) / 3 * 100
    case .punctuation: rest += 70 + (length - 1) * 30
    // One is a part of the word behind it.
    case .spaces: rest += length > 1 ? 100 : 0
    case .lines: rest += 100
    }
    run = .none
    length = 0
    lastIsLower = false
  }

  /// Of scripts whose words are not told apart here.
  private mutating func add(_ scalar: UInt32) {
    switch scalar {
    case ..<0x370: rest += 50
    case ..<0x600: other += 30  // Greek, Cyrillic, Hebrew
    case ..<0x900: other += 37  // Arabic
    case ..<0x2000: other += 45  // of South and South-East Asia
    case ..<0x3000: rest += 100  // dashes, quotes, signs
    case ..<0x3040: eastAsian += 95  // punctuation
    case ..<0x3100: eastAsian += 84  // kana
    case 0xAC00..<0xD7B0: eastAsian += 93  // hangul
    case 0xFF00..<0xFFF0: eastAsian += 95
    case ..<0x10000: eastAsian += 85  // Han
    default: rest += 200  // emoji
    }
  }
}

/// How a provider's own counts of one model compare with the guesses at the same texts, script by script. Learnt from the first
/// answers, so that what is guessed when one is stopped is near what the provider counts.
final class TokenRatios {
  struct Ratio {
    /// A guess is worth this much beside what was said.
    private static let weight = 32.0
    /// Enough to know it; nothing is learnt after that.
    private static let enough = 10_000.0
    private var said = weight
    private var guessed = weight

    var isKnown: Bool { guessed >= Self.enough }

    mutating func learn(said: Int, guessed: Int) {
      guard !isKnown, guessed > 0, said > 0 else { return }
      // Thoughts that are counted and not shown are no matter of vocabularies.
      self.said += min(max(Double(said), Double(guessed) / 2), Double(guessed) * 4)
      self.guessed += Double(guessed)
    }

    func tokens(_ guess: Int) -> Int { Int((Double(guess) * said / guessed).rounded(.up)) }
  }

  var input = Ratio()
  private var output = [Ratio](repeating: Ratio(), count: TokenCounter.Script.allCases.count)

  func tokens(_ answer: TokenCounter) -> Int { output[answer.script.rawValue].tokens(answer.tokens) }

  func learn(_ answer: TokenCounter, said tokens: Int) {
    output[answer.script.rawValue].learn(said: tokens, guessed: answer.tokens)
  }
}

/// `TokenRatios` by provider and model, for the calls of one client.
final class TokenCalibration {
  private struct Key: Hashable {
    let provider: String
    let model: String
  }
  /// A program may name any model: beyond this many the oldest knowledge is given up.
  private static let modelLimit = 1_024
  private var known: [Key: TokenRatios] = [:]

  func ratios(_ provider: String, _ model: String) -> TokenRatios {
    let key = Key(provider: provider, model: model)
    if let ratios = known[key] { return ratios }
    if known.count == Self.modelLimit { known.removeAll() }
    let ratios = TokenRatios()
    known[key] = ratios
    return ratios
  }
}

extension PreparedChat {
  /// What an image in a message is counted as: about as much as the large services take for one.
  static let imageTokens = 1_000
  /// Around each message: its role, and where it begins and ends.
  static let messageTokens = 4

  private var guessedInputTokens: Int {
    var counter = TokenCounter()
    var more = 3
    for message in messages.list {
      more += Self.messageTokens
      for part in message.parts {
        switch part {
        case .text(let text): counter.add(text)
        case .imageData, .imageURL: more += Self.imageTokens
        case .other(let value): counter.add(value.text)
        }
      }
      if let calls = message.toolCalls { counter.add(calls.text) }
    }
    for tool in parts.tools {
      counter.add(tool.name)
      counter.add(tool.description)
      counter.add(tool.parameters.text)
    }
    return counter.tokens + more
  }

  /// Reads all messages: for who needs it only.
  var estimatedInputTokens: Int { ratios.input.tokens(guessedInputTokens) }

  func estimatedOutputTokens(_ answer: TokenCounter) -> Int { ratios.tokens(answer) }

  /// The provider has counted a whole answer.
  func learn(_ usage: Usage, delivered: TokenCounter) {
    ratios.learn(delivered, said: usage.outputTokens)
    if !ratios.input.isKnown { ratios.input.learn(said: usage.inputTokens, guessed: guessedInputTokens) }
  }
}
