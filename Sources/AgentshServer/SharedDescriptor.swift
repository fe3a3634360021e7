package import LinuxSystem

/// A descriptor that several threads hold; closed when the last lets go.
package final class SharedDescriptor: Sendable {
  let file: FileDescriptor
  package var number: Int32 { file.number }
  package init(_ file: consuming FileDescriptor) { self.file = file }

  /// A process's pidfd is readable when the process has ended. `pidfd_open(2)`
  var processHasEnded: Bool { !waitForAny([number], milliseconds: 0).isEmpty }
}
