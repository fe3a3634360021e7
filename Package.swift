// swift-tools-version: 6.2
import PackageDescription

let common: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
  .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
  // A generic type that is made from its parts, whose conformances are known, takes a tenth of one that is made from its name:
  // a start makes 170 of them.
  .unsafeFlags(["-Xfrontend", "-disable-concrete-type-metadata-mangled-name-accessors"]),
]
let strict: [SwiftSetting] = common + [.strictMemorySafety()]
// The sanitizers' runtimes are not made for static programs (Scripts/stress --sanitizer).
let isSanitized = Context.environment["AGENTSH_SANITIZED"] != nil
let staticExecutable: [LinkerSetting] = [
  .unsafeFlags([isSanitized ? "-static-stdlib" : "-static-executable"])
]
// ArgumentParser brings FoundationEssentials, and nobody the rest of Foundation, whose start every start would pay for. What a
// static archive needs is autolinked only when everything is compiled for static linking, which would build the dependencies
// twice (programs and tests).
let staticWithEssentials: [LinkerSetting] = [
  .unsafeFlags([
    "-static-executable", "-lFoundationEssentials", "-lstdc++", "-l_FoundationCollections",
    "-l_FoundationCShims", "-lswiftSynchronization",
  ])
]

// The daemon is dynamic for the sake of SQLite and libc's user database, but not of the toolchain's libraries, which
// an installed program does not find.
let staticSwift: [LinkerSetting] = [
  .unsafeFlags([
    "-static-stdlib", "-lFoundation", "-lFoundationInternationalization", "-lCoreFoundation",
    "-l_FoundationICU",
    "-l_FoundationCollections", "-l_FoundationCShims", "-lswiftSynchronization",
  ])
]

let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let sqlite: Target.Dependency = .product(name: "GRDBSQLite", package: "GRDB.swift")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
func nio(_ name: String) -> Target.Dependency { .product(name: name, package: "swift-nio") }

// name, local dependencies, product dependencies
let libraries: [(String, [String], [Target.Dependency])] = [
  ("LinuxSystem", ["CLinux"], []),
  ("Seccomp", ["LinuxSystem", "CLinux"], []),
  ("Landlock", ["LinuxSystem", "CLinux"], []),
  ("Ptrace", ["LinuxSystem", "CLinux"], []),
  ("Cgroup", ["LinuxSystem", "CLinux"], []),
  ("AgentshPolicy", [], []),
  ("AgentshEvent", [], []),
  ("AgentshWire", ["AgentshPolicy", "AgentshEvent"], []),
  ("AgentshConfig", ["AgentshPolicy", "AgentshWire", "LinuxSystem", "CLinux", "CYAML"], []),
  ("AgentshAudit", ["AgentshEvent", "LinuxSystem", "CLinux"], [grdb, sqlite]),
  (
    "AgentshEnforcement",
    [
      "AgentshPolicy", "AgentshEvent", "AgentshWire", "Seccomp", "Landlock", "Ptrace", "Cgroup",
      "LinuxSystem", "CLinux",
    ],
    []
  ),
  ("AgentshLauncher", ["AgentshWire", "Seccomp", "Landlock", "LinuxSystem", "CLinux"], []),
  ("AgentshAPI", ["AgentshWire"], []),
  (
    "AgentshSession",
    [
      "AgentshPolicy", "AgentshEvent", "AgentshWire", "AgentshConfig", "AgentshAudit", "AgentshAPI",
      "LinuxSystem", "CLinux",
    ], []
  ),
  (
    "AgentshServer",
    [
      "AgentshSession", "AgentshAPI", "AgentshConfig", "AgentshAudit", "AgentshEvent", "AgentshWire",
      "AgentshPolicy", "Cgroup", "LinuxSystem", "CLinux",
    ],
    [hummingbird, httpTypes, logging, lifecycle, nio("NIOCore"), nio("NIOPosix")]
  ),
  ("AgentshClient", ["AgentshAPI", "AgentshConfig", "AgentshWire", "LinuxSystem", "CLinux"], []),
  (
    "AgentshCommands",
    [
      "AgentshClient", "AgentshLauncher", "AgentshAPI", "AgentshConfig", "AgentshPolicy", "AgentshEvent",
      "AgentshWire", "LinuxSystem", "CLinux",
    ],
    [arguments]
  ),
]
let executables: [(String, [String], [LinkerSetting])] = [
  ("agentsh", ["AgentshCommands"], staticWithEssentials),
  ("agentshd", ["AgentshServer"], staticSwift),
  ("agentsh-supervisor", ["AgentshEnforcement", "AgentshWire", "LinuxSystem", "CLinux"], staticExecutable),
  ("agentsh-launch", ["AgentshLauncher", "AgentshWire", "LinuxSystem", "CLinux"], staticExecutable),
]
let tests: [(String, [String])] = [
  ("AgentshPolicyTests", ["AgentshPolicy"]),
  ("AgentshWireTests", ["AgentshWire", "AgentshPolicy", "AgentshEvent"]),
  ("AgentshConfigTests", ["AgentshConfig", "AgentshPolicy", "AgentshWire", "LinuxSystem", "CLinux"]),
  ("AgentshAuditTests", ["AgentshAudit", "AgentshEvent", "LinuxSystem", "CLinux"]),
  (
    "AgentshEnforcementTests",
    [
      "Harness", "AgentshEnforcement", "AgentshPolicy", "AgentshEvent", "AgentshWire", "Seccomp",
      "LinuxSystem", "CLinux",
    ]
  ),
  (
    "AgentshServerTests",
    [
      "AgentshServer", "AgentshSession", "AgentshAPI", "AgentshAudit", "AgentshConfig", "AgentshEvent",
      "AgentshPolicy", "AgentshWire", "Cgroup", "LinuxSystem", "CLinux",
    ]
  ),
  ("AgentshClientTests", ["AgentshClient", "AgentshAPI", "AgentshConfig", "AgentshWire", "LinuxSystem"]),
  ("AgentshCommandsTests", ["AgentshCommands", "AgentshClient", "AgentshAPI"]),
  ("SeccompTests", ["Seccomp", "LinuxSystem", "CLinux"]),
  ("KernelTests", ["Seccomp", "Landlock", "Cgroup", "Ptrace", "LinuxSystem", "CLinux", "AgentshWire"]),
  ("DecoderTests", ["Decoders"]),
  ("EndToEndTests", ["Harness"]),
  ("EvasionTests", ["Harness"]),
]

func local(_ names: [String]) -> [Target.Dependency] { names.map { .target(name: $0) } }

var targets: [Target] = [
  .target(
    name: "CLinux", cSettings: [.define("_GNU_SOURCE"), .unsafeFlags(["-Wall", "-Wextra", "-Werror"])]),
  .systemLibrary(name: "CYAML", providers: [.apt(["libyaml-dev"])]),
  // What the tests that start real programs share.
  .target(name: "Harness", dependencies: ["CLinux"], path: "Tests/Harness", swiftSettings: common),
  // What must hold for whatever is read from others: checked by DecoderTests and by the fuzzer (Fuzzing).
  .target(
    name: "Decoders",
    dependencies: local([
      "AgentshClient", "AgentshConfig", "AgentshEnforcement", "AgentshPolicy", "AgentshEvent", "AgentshWire",
      "Seccomp", "LinuxSystem", "CLinux",
    ]), path: "Tests/Decoders", swiftSettings: common),
]
for (name, uses, products) in libraries {
  targets.append(.target(name: name, dependencies: local(uses) + products, swiftSettings: strict))
}
for (name, uses, link) in executables {
  targets.append(
    .executableTarget(name: name, dependencies: local(uses), swiftSettings: strict, linkerSettings: link))
}
for (name, uses) in tests {
  let products = name == "AgentshAuditTests" ? [grdb] : []
  targets.append(.testTarget(name: name, dependencies: local(uses) + products, swiftSettings: common))
}

let package = Package(
  name: "agentsh",
  dependencies: [
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
  ],
  targets: targets)
