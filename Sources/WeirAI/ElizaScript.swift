/// What the offline model knows: its rules, as data. `*` in a reply is what followed the key, turned around.
enum ElizaScript {
  struct Rule {
    var rank: Int
    /// Any of these word sequences.
    var keys: [[String]]
    var replies: [String]

    init(_ rank: Int, _ keys: [String], _ replies: [String]) {
      self.rank = rank
      self.keys = keys.map { $0.split(separator: " ").map(String.init) }
      self.replies = replies
    }
  }

  static let introduction =
    "I'm eliza, a small rule-based program inside Weir: no network, no key, and no language model."

  /// Rules of at least this rank speak about the program itself and need no introduction.
  static let selfRank = 90

  static let rules: [Rule] = [
    Rule(
      100, ["who are you", "what are you", "your name", "are you human", "are you real", "are you a", "are you an"],
      [
        "I'm eliza, a few dozen rules that turn your words around. I come with Weir so that examples run offline.",
        "Only a small program: I match patterns and answer with templates. For real answers, configure a provider.",
      ]),
    Rule(
      95, ["computer", "computers", "program", "robot", "machine", "ai", "language model", "llm"],
      [
        "You are talking to a rather small program yourself: I'm eliza, rules and nothing else. What about it?",
        "Do machines interest you? This one only has rules.",
      ]),
    Rule(
      80, ["say hi", "say hello"],
      ["Hi! Five words are plenty.", "Hello there, nice to type."]),
    Rule(
      70, ["story", "poem", "tell me about", "write"],
      [
        "Once upon a time a short stream ran through a small town, one word after another, and never lost one of them."
          + " The end.",
        "A river knew only rules: go down, go on, go around. People heard poetry in it anyway. The end.",
        "There was a weir that let everything pass, and forgot nothing of it. The end.",
      ]),
    Rule(
      60, ["i need", "i want", "i would like", "i'd like"],
      [
        "What would it change if you got *?", "Why *, of all things?", "Suppose you had * tomorrow. Then what?",
        "What do you want most?",
      ]),
    Rule(
      55, ["i can't", "i cannot", "i could not", "i couldn't"],
      ["What keeps you from it?", "Perhaps you could * if something gave way. What would that be?"]),
    Rule(
      50, ["i am", "i'm", "im"],
      [
        "How long have you been *?", "What is it like to be *?", "Does anyone know that you are *?",
        "You are? Tell me more.",
      ]),
    Rule(
      50, ["i feel", "i felt"],
      ["When do you usually feel *?", "What brought that feeling on?", "And when you feel *, what do you do?"]),
    Rule(
      48, ["because"],
      ["Is that the only reason?", "Which other reasons might there be?", "Does that explain the rest?"]),
    Rule(
      46, ["i think", "i believe", "i guess"],
      ["What makes you so sure that *?", "And if it were the other way round?", "Who else thinks that *?"]),
    Rule(45, ["sorry"], ["No need to be sorry.", "It's all right. Go on."]),
    Rule(
      44, ["i remember", "remember"], ["What else comes back with *?", "Why does that come to mind now?"]),
    Rule(
      42, ["my mother", "my father", "my family", "my sister", "my brother", "my wife", "my husband", "my children"],
      ["Tell me more about your family.", "Who else in your family matters here?"]),
    Rule(40, ["my"], ["Your *?", "Why do you say your *?", "What else belongs to your *?", "Is it important to you?"]),
    Rule(
      36, ["why don't you", "why can't you"],
      ["Perhaps I will, when there is a rule for it.", "Would it help if I did?"]),
    Rule(34, ["can you", "could you"], ["What if I could *?", "I can only turn words around, but go on."]),
    Rule(32, ["you are", "you're"], ["What makes you think I am *?", "Would it please you if I were *?"]),
    Rule(
      30, ["what", "how", "why", "when", "where", "who"],
      [
        "What do you think yourself?", "Which answer would help you most?", "Have you asked that before?",
        "That is beyond my rules. What made you ask?",
      ]),
    Rule(20, ["yes", "yeah", "sure"], ["You seem sure of it.", "I see. And then?"]),
    Rule(20, ["no", "nope"], ["Why not?", "No to all of it, or just to this?"]),
    Rule(18, ["thanks", "thank you"], ["You're welcome.", "Gladly. What next?"]),
    Rule(16, ["bye", "goodbye"], ["Goodbye. Everything you said is in the log.", "Until next time."]),
    Rule(
      10, ["hello", "hi", "hey", "good morning", "good evening"],
      ["Hello. What is on your mind?", "Hi again. Where were we?"]),
  ]

  static let fallbacks = [
    "Tell me more about that.", "Go on.", "What does that mean to you?", "How does that fit with what you said before?",
    "I have no rule for that, so I'll just listen.",
  ]

  static let reflections: [String: String] = [
    "i": "you", "me": "you", "my": "your", "mine": "yours", "myself": "yourself", "am": "are", "i'm": "you're",
    "i've": "you've", "i'll": "you'll", "i'd": "you'd", "was": "were", "you": "me", "your": "my", "yours": "mine",
    "yourself": "myself", "you're": "I'm", "you've": "I've", "you'll": "I'll", "are": "am",
  ]
}
