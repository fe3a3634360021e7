// swift-tools-version: 6.2
import PackageDescription

// A package of its own, as Benchmarks: `package` access ends at a package's border, so the modules that are fuzzed are
// compiled here once more (the directories in Sources are links), with libFuzzer watching what each input reaches.
let watched: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableExperimentalFeature("Lifetimes"),
  .unsafeFlags(["-sanitize=fuzzer"]),
  .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
]
let modules: [(String, [String])] = [
  ("LinuxSystem", ["CLinux"]),
  ("Seccomp", ["LinuxSystem", "CLinux"]),
  ("Landlock", ["LinuxSystem", "CLinux"]),
  ("Ptrace", ["LinuxSystem", "CLinux"]),
  ("Cgroup", ["LinuxSystem", "CLinux"]),
  ("AgentshPolicy", []),
  ("AgentshEvent", []),
  ("AgentshWire", ["AgentshPolicy", "AgentshEvent"]),
  ("AgentshConfig", ["AgentshPolicy", "AgentshWire", "LinuxSystem", "CLinux", "CYAML"]),
  ("AgentshAPI", ["AgentshWire"]),
  ("AgentshClient", ["AgentshAPI", "AgentshConfig", "AgentshWire", "LinuxSystem", "CLinux"]),
  (
    "AgentshEnforcement",
    [
      "AgentshPolicy", "AgentshEvent", "AgentshWire", "Seccomp", "Landlock", "Ptrace", "Cgroup",
      "LinuxSystem", "CLinux",
    ]
  ),
  (
    "Decoders",
    [
      "AgentshClient", "AgentshConfig", "AgentshEnforcement", "AgentshPolicy", "AgentshEvent", "AgentshWire",
      "Seccomp", "LinuxSystem", "CLinux",
    ]
  ),
]

var targets: [Target] = [
  .target(name: "CLinux", cSettings: [.define("_GNU_SOURCE")]),
  .systemLibrary(name: "CYAML", providers: [.apt(["libyaml-dev"])]),
  .target(name: "CFuzzer"),
  .executableTarget(
    name: "fuzz", dependencies: ["Decoders", "CFuzzer"],
    swiftSettings: [.swiftLanguageMode(.v6)],
    linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])]),
]
for (name, uses) in modules {
  targets.append(
    .target(name: name, dependencies: uses.map { .target(name: $0) }, swiftSettings: watched))
}

let package = Package(name: "fuzzing", targets: targets)
