// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nothing of it is in the product. `package` access ends at a package's border: the
// module that is measured is therefore compiled here once more (Sources/AgentshPolicy is a link).
let common: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "benchmarks",
  targets: [
    .target(name: "AgentshPolicy", swiftSettings: common + [.strictMemorySafety()]),
    .target(name: "CallCount", cSettings: [.define("_GNU_SOURCE")]),
    .executableTarget(
      name: "policy-benchmark", dependencies: ["AgentshPolicy", "CallCount"], swiftSettings: common),
  ])
