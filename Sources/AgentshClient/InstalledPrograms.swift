import CLinux
import LinuxSystem

/// Where our own programs are: beside the one that runs, or in `../libexec/agentsh`. Never by PATH, never by an answer.
package struct InstalledPrograms: Sendable {
  package let directories: [String]

  /// From the absolute path of the program that runs.
  package init(executable: String) {
    let directory = parent(of: executable)
    let above = parent(of: directory)
    directories = [directory, (above == "/" ? "" : above) + "/libexec/agentsh"]
  }

  /// Of this process. Throws where /proc is not mounted. `proc(5)`.
  package static func ofThisProcess() throws(ClientError) -> InstalledPrograms {
    guard let path = readLink("/proc/self/exe") else {
      throw .programMissing("/proc", searched: ["/proc/self/exe"])
    }
    return InstalledPrograms(executable: path)
  }

  /// The program's path. Throws `.programMissing`.
  package func path(of name: String) throws(ClientError) -> String {
    for directory in directories {
      let path = directory + "/" + name
      let found = PathText(path).withAddress { rawCall(Int(SYS_faccessat), Int(AT_FDCWD), $0, Int(X_OK)) }
      if found == 0 { return path }
    }
    throw .programMissing(name, searched: directories)
  }
}

/// What a symbolic link says; nil when it cannot be read. `readlink(2)`.
package func readLink(_ path: String) -> String? {
  var target = PathText()
  guard readLinkAt(AT_FDCWD, PathText(path), into: &target) > 0, !target.isTooLong else { return nil }
  return target.text
}

private func parent(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return "/" }
  return String(path[..<slash])
}
