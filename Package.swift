// swift-tools-version: 6.2
// The rooms of ARCHITECTURE.md as targets. A target may import only what its line names:
// the build passes `--explicit-target-dependency-import-check error`, which refuses an import that no arrow leads to, and
// `make lint` refuses one that this very target's line does not name.
import PackageDescription

let swift: [SwiftSetting] = [
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .treatAllWarnings(as: .error),
]

func room(_ name: String, _ arrows: [Target.Dependency] = [], resources: [Resource]? = nil) -> Target {
  .target(name: name, dependencies: arrows, resources: resources, swiftSettings: swift)
}

func tests(_ room: String, _ arrows: [String] = [], exclude: [String] = []) -> Target {
  let all = Set([room, "WeirCore", "WeirTesting"] + arrows).sorted().map { Target.Dependency.target(name: $0) }
  return .testTarget(name: room + "Tests", dependencies: all, exclude: exclude, swiftSettings: swift)
}

let package = Package(
  name: "weir",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "weir", targets: ["WeirCLI"]),
    .library(name: "Weir", targets: ["Weir"]),
    .library(name: "WeirTesting", targets: ["WeirTesting"]),
  ],
  targets: [
    // 0: values and the ports to the outside
    room("WeirCore"),
    // 1: pure
    room("WeirWire", ["WeirCore", "CZlib"]),
    room("WeirFlow", ["WeirCore"]),
    room("WeirStore", ["WeirCore"]),
    room("WeirLang", ["WeirCore"]),
    // 2: drivers over the network port
    room("WeirNet", ["WeirCore", "WeirWire", "WeirFlow"]),
    // 3: what the product does
    room(
      "WeirServe", ["WeirCore", "WeirWire", "WeirStore", "WeirNet"],
      resources: [.embedInCode("Page/chat.html")]),
    room("WeirAI", ["WeirCore", "WeirWire", "WeirFlow", "WeirStore"]),
    room("WeirRedis", ["WeirCore", "WeirWire", "WeirStore"]),
    // 4: programs meet the rooms
    room("WeirRuntime", ["WeirCore", "WeirFlow", "WeirStore", "WeirLang", "WeirNet", "WeirServe", "WeirAI"]),
    // 5, 6: the library's face, the command
    room(
      "Weir",
      [
        "WeirCore", "WeirFlow", "WeirIO", "WeirLang", "WeirStore", "WeirNet", "WeirServe", "WeirAI", "WeirRedis",
        "WeirRuntime", "CWeirTOML",
      ]),
    .executableTarget(
      name: "WeirCLI", dependencies: ["WeirCore", "WeirFlow", "WeirLang", "WeirStore", "WeirRuntime", "Weir"],
      swiftSettings: swift),
    .executableTarget(
      name: "FiberBenchmark", dependencies: ["WeirLang"], path: "Benchmarks/language/fibers", swiftSettings: swift),
    // Beside them: the real outside, imported by Weir alone
    room("WeirIO", ["WeirCore", "CWeir", "CCurl", "COpenSSL"]),
    .target(name: "CWeir"),
    .target(name: "CWeirTOML"),
    .systemLibrary(
      name: "CCurl", providers: [.apt(["libcurl4-openssl-dev"]), .brew(["curl"])]),
    .systemLibrary(
      name: "COpenSSL", providers: [.apt(["libssl-dev"]), .brew(["openssl@3"])]),
    .systemLibrary(
      name: "CZlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
    room("WeirTesting", ["WeirCore"]),
    // Measured by Benchmarks/run.py
    .executableTarget(
      name: "StreamBenchmarks", dependencies: ["WeirCore", "WeirWire"], path: "Benchmarks/streams", swiftSettings: swift
    ),
    .executableTarget(
      name: "StoreBenchmark", dependencies: ["WeirCore", "WeirStore"], path: "Benchmarks/store", swiftSettings: swift),
    .executableTarget(
      name: "SelectBenchmark", dependencies: ["WeirCore", "WeirFlow", "WeirIO", "Weir"], path: "Benchmarks/select",
      swiftSettings: swift),
    .executableTarget(
      name: "DurableBenchmark", dependencies: ["WeirCore", "WeirIO", "WeirStore"], path: "Benchmarks/durable",
      exclude: ["redis"], swiftSettings: swift),
    // Peers for tests and measurements, in no product
    .executableTarget(
      name: "RedisStreams", dependencies: ["WeirCore", "WeirIO", "WeirRedis", "WeirStore"],
      path: "Benchmarks/durable/redis", swiftSettings: swift),
    .executableTarget(
      name: "WebSocketPeer", dependencies: ["WeirCore", "WeirFlow", "WeirIO", "WeirNet"], path: "Tests/WebSocketPeer",
      swiftSettings: swift),
    // Tests
    tests("WeirCore"),
    tests("WeirWire"),
    tests("WeirStore", exclude: ["golden"]),
    .testTarget(
      name: "WeirLangTests", dependencies: ["WeirCore", "WeirLang", "WeirTesting"],
      exclude: ["golden", "Programs"], swiftSettings: swift),
    tests("WeirNet", ["WeirWire", "WeirFlow"]),
    tests("WeirAI", ["WeirWire", "WeirFlow", "WeirStore", "CWeirTOML"], exclude: ["Cassettes"]),
    tests("WeirServe", ["WeirWire", "WeirStore", "WeirNet"]),
    // Conformance/ holds links to the suite of WeirStoreTests: one suite, run by every store's tests
    tests("WeirRedis", ["WeirWire", "WeirStore", "WeirIO"]),
    tests(
      "WeirRuntime", ["WeirWire", "WeirFlow", "WeirStore", "WeirLang", "WeirNet", "WeirServe", "WeirAI"],
      exclude: ["golden"]),
    tests("WeirCLI", ["WeirLang", "WeirRuntime", "Weir"]),
    tests("WeirIO", ["WeirStore"]),
    tests("WeirFlow"),
    tests("WeirTesting"),
    tests("Weir", ["WeirIO", "WeirStore", "WeirLang", "WeirNet", "WeirRuntime"]),
  ],
  cxxLanguageStandard: .cxx17
)
