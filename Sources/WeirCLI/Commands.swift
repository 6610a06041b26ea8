import Weir

/// What `weir` can do, as its help shows it.
enum Commands {
  private static let help = CommandSpec.OptionSpec("help", short: "h", "show this")
  private static let program: [CommandSpec.OptionSpec] = [
    .init("caps", value: "LIST", "what the program may reach: AI,Stream,Net,… or all"),
    .init("config", value: "FILE", "configuration (default: the nearest weir.toml upwards)"),
    .init("ai", value: "NAME", "provider of agents that name none"),
    .init("model", value: "NAME", "model of agents that name none"),
    .init("max-cost", value: "USD", "what model calls may cost altogether"),
    .init("budget", value: "LIST", "how often effects may be used altogether: AI=20,Stream=100"),
    .init("trace", value: "FILE", "write a span of OpenTelemetry for every model call, as JSON lines"),
    .init("trace-content", "spans hold what was asked and answered as well"),
    .init("budget-report", "print calls, tokens and cost of each model at the end"),
    .init("color", value: "WHEN", "auto, always or never"),
    .init("net-timeout", value: "TIME", "how long a request of std/net may take (default 30s)"),
    .init("net-max-response", value: "BYTES", "largest answer of std/net (default 16777216)"),
    .init("net-redirects", value: "COUNT", "redirects that std/net follows (default 5)"),
  ]
  private static let processes: [CommandSpec.OptionSpec] = [
    .init(
      "process-allowlist", value: "LIST",
      "programs that may be started: names, paths, leading arguments (echo,git:status,/usr/bin/sox)"),
    .init("process-env", value: "LIST", "variables that they inherit although they look like secrets; * for all"),
    .init("process-limit", value: "N", "processes at a time (default 64)"),
    .init("process-timeout", value: "TIME", "an exec takes no longer (default 5m; 0: as long as it takes)"),
    .init("process-max-output", value: "BYTES", "what exec keeps of each stream (default 16777216)"),
  ]
  private static let server: [CommandSpec.OptionSpec] = [
    .init("host", value: "ADDRESS", "address to bind (default 127.0.0.1)"),
    .init("port", short: "p", value: "PORT", "port to listen on; wins over WEIR_PORT and the program"),
    .init("ui", "serve the chat page at /"),
    .init("token", value: "TEXT", "clients must send it as `Authorization: Bearer TEXT`"),
    .init("tls-cert", value: "FILE", "certificate chain, PEM"),
    .init("tls-key", value: "FILE", "private key, PEM"),
    .init("insecure", "bind another address than loopback without a token or TLS"),
    .init("grace", value: "TIME", "how long streams may finish after SIGTERM (default 5s)"),
    .init(
      "lease", value: "TIME", "in a Redis: silence after which other servers take up this one's runs (default 30s)"),
    .init("max-body", value: "BYTES", "largest request body (default 1048576)"),
    .init("heartbeat", value: "TIME", "silence before a comment is sent to readers (default 15s)"),
    .init(
      "public-streams",
      "let whoever reaches the server create, append to and delete streams; with --token its owners may"),
    .init(
      "subscriptions", "let whoever may write streams subscribe to them: webhooks and pull-wake (docs/subscriptions.md)"
    ),
    .init("local-webhooks", "webhooks may be on this machine: http://localhost and http://127.0.0.1 too"),
    .init("streams-root", value: "PATH", "serve streams below this path as well as below /streams"),
    .init(
      "long-poll-timeout", value: "TIME", "how long a request waits for something to come to a stream (default 25s)"),
    .init(
      "allow-host", value: "LIST",
      "names besides the server's own that clients reach it by: chat.example.com (a proxy in front that passes them on)"
    ),
    .init(
      "allow-origins", value: "LIST", "pages of these origins may use the server: https://a.com,http://localhost:5173"),
  ]

  private static let streams: [CommandSpec.OptionSpec] = [
    .init(
      "stream-idle-timeout", value: "TIME",
      "an event loop that is given nothing for so long ends (default 1m; 0: never)"),
    .init("stream-max-duration", value: "TIME", "an event loop runs no longer (default 5m; 0: as long as it takes)"),
    .init(
      "stream-max-message", value: "BYTES",
      "largest message of a connection (default 1048576; 16777216 for an event of SSE)"),
    .init("stream-allow-http", "connect without encryption to other machines as well"),
    .init("stream-allow-private", "connect to private and link-local addresses"),
    .init("stream-allow-domains", value: "LIST", "connect to these hosts only: a.com,*.b.com"),
  ]

  static let store: [CommandSpec.OptionSpec] = [
    .init(
      "store", value: "WHERE",
      "where streams are kept: a folder, redis://…, or memory (default: WEIR_STORE, else .weir/streams, made when needed)"
    ),
    .init(
      "store-sync", value: "WHEN",
      "what is acknowledged survives power loss: always (default), or but for the last TIME, such as 100ms"),
  ]

  private static let keep: [CommandSpec.OptionSpec] = [
    .init(
      "keep", value: "TIME",
      "how long what an ended run has kept stays when nobody reads it: 30d, 12h or forever (default: WEIR_KEEP, else 30d of a workflow's run, forever of the program's own)"
    )
  ]

  /// Of one run: `weir test` makes many.
  private static let recordings: [CommandSpec.OptionSpec] = [
    .init("record", value: "FILE", "write down what the program's sources and models yield, and when"),
    .init(
      "replay", value: "FILE",
      "run against a recording instead of standard input, timers, processes, models and the network"),
    .init("speed", value: "N", "no faster than N times as it was recorded (default: as fast as it can)"),
  ]

  static let all: [CommandSpec] = [
    CommandSpec(
      name: "run", summary: "Check a program and run it", operand: "FILE", operandRange: 1...1,
      options: [
        .init("entry", value: "NAME", "function to start (default main)"),
        .init("args-json", value: "JSON", "its arguments, as an object"),
        .init("run-id", value: "ID", "the id of this run; one that did not end is taken up again"),
      ] + store + keep + program + streams + recordings + processes + server + [help]),
    CommandSpec(
      name: "check", summary: "Check programs without running them", operand: "FILE…", operandRange: 1...1000,
      options: [
        .init("json", "diagnostics as JSON on stdout"), .init("color", value: "WHEN", "auto, always or never"), help,
      ]),
    CommandSpec(
      name: "explain", summary: "Explain the code of an error or warning, or list all", operand: "[CODE]",
      operandRange: 0...1,
      options: [.init("json", "as JSON on stdout"), .init("color", value: "WHEN", "auto, always or never"), help]),
    CommandSpec(
      name: "fmt", summary: "Format programs", operand: "FILE|DIR|-…", operandRange: 1...1000,
      options: [
        .init("check", "change nothing; list the files that would change, and exit 1 if there are any"),
        .init("color", value: "WHEN", "auto, always or never"), help,
      ]),
    CommandSpec(
      name: "test", summary: "Run the tests of programs", operand: "[FILE|DIR…]", operandRange: 0...1000,
      options: [
        .init("filter", value: "TEXT", "only tests whose name contains it"),
        .init("fail-fast", "stop at the first test that fails"),
        .init("time-limit", value: "TIME", "how long one test may run (default 60s)"),
        .init("json", "results as JSON on stdout"),
      ] + program + streams + processes + [help]),
    CommandSpec(
      name: "doc", summary: "Show what a module offers", operand: "[MODULE|NAME|FILE…]", operandRange: 0...1000,
      options: [
        .init("json", "as JSON on stdout"), .init("markdown", "every module of the library as one page of Markdown"),
        .init("color", value: "WHEN", "auto, always or never"), help,
      ]),
    CommandSpec(
      name: "new", summary: "Make a project that runs", operand: "NAME", operandRange: 1...1,
      options: [
        .init(
          "template", value: "NAME",
          ProjectTemplate.allCases.map { "\($0.rawValue): \($0.summary)" }.joined(separator: "; ")),
        help,
      ]),
    CommandSpec(
      name: "serve", summary: "Serve the workflows of a program over HTTP", operand: "FILE", operandRange: 1...1,
      options: server + store + keep + program + streams + recordings + processes + [help]),
    CommandSpec(
      name: "runs", summary: "List what programs have done with steps and streams, show one run, take one up again",
      operand: "[ls|show ID|resume ID]", operandRange: 0...2,
      options: [
        .init("json", "as JSON on stdout"),
        .init("config", value: "FILE", "configuration (default: the nearest weir.toml upwards)"),
      ] + store + [help]),
    CommandSpec(
      name: "chat", summary: "Talk to a model", operand: "[PROVIDER/MODEL]", operandRange: 0...1,
      options: [
        .init("system", value: "TEXT", "instructions for the model"),
        .init("max-cost", value: "USD", "what the conversation may cost"),
        .init("record", value: "FILE", "write down what the provider sends, byte by byte, and when"),
        .init("config", value: "FILE", "configuration (default: the nearest weir.toml upwards)"),
      ] + store + [help]),
    CommandSpec(
      name: "models", summary: "List providers, or the models that one offers", operand: "[PROVIDER]",
      operandRange: 0...1,
      options: [
        .init("json", "as JSON on stdout"),
        .init("config", value: "FILE", "configuration (default: the nearest weir.toml upwards)"), help,
      ]),
    CommandSpec(
      name: "streams", summary: "List, read, follow, write and check durable streams",
      operand:
        "ls [PREFIX] | tail NAME | cat NAME | append NAME | close NAME | rm NAME | fork FROM NAME | link NAME | fsck",
      operandRange: 1...3,
      options: [
        .init("follow", short: "f", "tail: go on until the stream ends"),
        .init("from", value: "N", "tail: from this position on (default: the newest 10 items)"),
        .init("item", value: "TEXT", "append: this item; may be repeated (default: each line of standard input)"),
        .init("json", "append: a new stream holds JSON, a value a line; ls: as JSON, a stream a line"),
        .init("text", "append: a new stream holds text (the default)"),
        .init("binary", "append: a new stream holds bytes"),
        .init("abort", value: "REASON", "close: as one that failed"),
        .init("rights", value: "rwd", "link: what it is good for: r reads (default), w writes, d deletes"),
        .init("expires", value: "TIME", "link: how long (default 1h)"),
        .init("url", value: "URL", "link: the server in front of it, such as https://example.com"),
        .init("at", value: "N", "fork: with the items before this position (default: all)"),
      ] + store + [
        .init("config", value: "FILE", "configuration (default: the nearest weir.toml upwards)"), help,
      ]),
    CommandSpec(
      name: "doctor", summary: "Check configuration, keys and providers; find a proxy that holds streams back",
      operand: "", operandRange: 0...0,
      options: [
        .init("through", value: "URL", "send a stream through the proxy at URL, which leads to this port"),
        .init("port", short: "p", value: "PORT", "where that stream is served (default 8080)"),
        .init("offline", "ask nobody"),
        .init("config", value: "FILE", "configuration (default: the nearest weir.toml upwards)"), help,
      ]),
    CommandSpec(
      name: "webui", summary: "Serve the chat page for servers that run elsewhere", operand: "", operandRange: 0...0,
      options: [
        .init("connect", short: "c", value: "HOST:PORT", "a Weir server; may be repeated"),
        .init("port", short: "p", value: "PORT", "port of the page (default 3000)"),
        .init("host", value: "ADDRESS", "address to bind (default 127.0.0.1)"), help,
      ]),
    CommandSpec(name: "version", summary: "Print the version", operand: "", operandRange: 0...0, options: [help]),
    CommandSpec(
      name: "help", summary: "Show what there is", operand: "[COMMAND]", operandRange: 0...1, options: [help]),
  ]
}
