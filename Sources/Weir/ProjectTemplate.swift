/// What `weir new` writes. Every template runs as it is, on `eliza`, passes `weir check`, `weir test` and `weir fmt --check`,
/// and its README names only commands that work; a test tries all of that.
package enum ProjectTemplate: String, CaseIterable {
  case chat, script

  package var summary: String {
    switch self {
    case .chat: "an agent served over HTTP, with a chat page (default)"
    case .script: "a program for the command line"
    }
  }

  package var firstCommand: String {
    switch self {
    case .chat: "weir serve --ui main.weir"
    case .script: "weir run main.weir \"I feel fine\""
    }
  }

  func files(_ name: String) -> [(path: String, text: String)] {
    [
      ("weir.toml", configuration), ("main.weir", program(name)), ("main_test.weir", tests),
      (".gitignore", Self.ignored), ("README.md", readme(name)),
    ]
  }

  private var configuration: String {
    let caps =
      switch self {
      case .chat: #""AI", "Env", "Net", "Serve", "Stream""#
      case .script: #""AI", "Env", "Net", "Stream""#
      }
    return """
      # What programs in this folder may reach. It is checked before anything runs.
      caps = [\(caps)]

      """
  }

  private static let ignored = """
    # Keys belong into the environment, not into the repository.
    .env
    *.log

    """

  private static let model = """
    // The model is `eliza`, which needs no key and no network. For a real one, replace the block below:
    //
    //   provider openai { api_key: env("OPENAI_API_KEY"), model: "gpt-4o" }

    import std/string (trim)

    provider eliza {
      model: "eliza"
    }

    """

  private static let cleaned = """
    /// What the model is told: the message without white space around it, and never nothing.
    export func cleaned(message: string) -> string {
      let text = trim(message)
      if text == "" then "Hello" else text
    }

    """

  private func program(_ name: String) -> String {
    switch self {
    case .chat:
      """
      // \(name): an agent that remembers each session, as a stream over HTTP.
      //
      \(Self.model)
      agent Assistant {
        provider: eliza
        system: "You listen, and answer with questions."
        memory: conversation(max_turns: 20)
      }

      \(Self.cleaned)
      @post("/chat")
      @webui(title: "\(name)", description: "Made by weir new")
      workflow Chat(message: string, session_id: string) -> stream {
        return Assistant.stream(cleaned(message), session: session_id)
      }

      """
    case .script:
      """
      // \(name): asks a model one question and prints the answer as it is written.
      //
      \(Self.model)
      agent Assistant {
        provider: eliza
        system: "You listen, and answer with questions."
      }

      \(Self.cleaned)
      func main(question: string = "") {
        for piece in Assistant.stream(cleaned(question)) {
          print(piece)
        }
        println("")
      }

      """
    }
  }

  private var tests: String {
    """
    import "./main.weir" (cleaned)

    test "white space around a message is no part of it" {
      assert cleaned("  I feel fine \\n") == "I feel fine"
    }

    test "an empty message is a greeting" {
      assert cleaned("   ") == "Hello"
    }

    """
  }

  private func readme(_ name: String) -> String {
    let use =
      switch self {
      case .chat:
        """
        ```console
        weir serve --ui main.weir
        ```

        serves the program; open <http://localhost:8080/>, or ask from a shell:

        ```console
        curl -N http://localhost:8080/chat -d '{"message": "I feel fine", "session_id": "me"}'
        ```
        """
      case .script:
        """
        ```console
        weir run main.weir "I feel fine"
        ```
        """
      }
    return """
      # \(name)

      \(use)

      ```console
      weir check main.weir main_test.weir
      weir test
      weir fmt --check .
      ```

      check the program, run its tests, and look at its format (`weir fmt .` writes it). `weir.toml` says what the program may
      reach.

      """
  }
}
