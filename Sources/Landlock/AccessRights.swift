/// Rights to files, as LANDLOCK_ACCESS_FS_* bits.
///
/// `landlock(7)`; the numbers of the kernel's header, newer than the build machine's.
package struct AccessRights: OptionSet, Sendable, Hashable {
  package let rawValue: UInt64
  package init(rawValue: UInt64) { self.rawValue = rawValue }
  package static let execute = Self(rawValue: 1 << 0)
  package static let writeFile = Self(rawValue: 1 << 1)
  package static let readFile = Self(rawValue: 1 << 2)
  package static let readDirectory = Self(rawValue: 1 << 3)
  /// Moves and links across directories; ABI 2. Denied by every ruleset that does not handle it, too.
  package static let refer = Self(rawValue: 1 << 13)
  /// ABI 3.
  package static let truncate = Self(rawValue: 1 << 14)
  /// On devices that a restricted process opened; ABI 5.
  package static let deviceIoctl = Self(rawValue: 1 << 15)

  /// Those that have a meaning for a file that is no directory.
  package static let onFiles = Self(
    rawValue: execute.rawValue | writeFile.rawValue | readFile.rawValue | truncate.rawValue
      | deviceIoctl.rawValue)

  /// All that this ABI has.
  package static func all(abi: Int) -> Self {
    switch abi {
    case ..<1: []
    case 1: Self(rawValue: 1 << 13 - 1)
    case 2: Self(rawValue: 1 << 14 - 1)
    case 3, 4: Self(rawValue: 1 << 15 - 1)
    default: Self(rawValue: 1 << 16 - 1)
    }
  }
}
