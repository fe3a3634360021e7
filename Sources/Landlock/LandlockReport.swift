/// What a ruleset that asks for everything gets from this kernel.
///
/// `landlock(7)`, Previous limitations.
package struct LandlockReport: Equatable, Sendable {
  package let abi: Int
  package let files: Enforcement
  /// TCP connect and bind.
  package let network: Enforcement
  /// Signals and abstract sockets.
  package let scopes: Enforcement

  package init(abi: Int = Ruleset.kernelABI()) {
    self.abi = abi
    let none = Enforcement.absent(
      "the kernel has no Landlock, or it is not among its active security modules")
    files =
      switch abi {
      case ..<1: none
      case 1, 2: .partial("Landlock ABI \(abi) does not restrict truncate(2) and ioctl(2) on devices")
      case 3, 4: .partial("Landlock ABI \(abi) does not restrict ioctl(2) on devices")
      default: .enforced
      }
    network =
      abi < 1 ? none : abi < 4 ? .absent("Landlock ABI \(abi) does not restrict TCP; ABI 4 does") : .enforced
    scopes =
      abi < 1 ? none : abi < 6 ? .absent("Landlock ABI \(abi) does not scope signals; ABI 6 does") : .enforced
  }
}
