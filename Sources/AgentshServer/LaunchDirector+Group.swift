import AgentshSession
import Cgroup
import LinuxSystem
import Logging

extension LaunchDirector {
  /// Puts the launched process into a group of its own before it is told to go on, so that all that it starts is born
  /// there. Where there can be none the launch goes on without: its tree is found by parents and filters then. ADR 40
  func enclose(_ launch: Launch, _ target: Int32, _ pidfd: SharedDescriptor) {
    do throws(NoGroup) {
      launch.setGroup(try makeGroup(launch.id, around: target, pidfd))
    } catch {
      services.records.removeGroup(launch.id)
      noteOnce(
        "session \(launch.session.details.id) has no control group: \(error.cause) (said once; docs/enforcement.md)",
        about: error.kind.rawValue)
    }
  }

  private func makeGroup(
    _ id: LaunchID, around target: Int32, _ pidfd: SharedDescriptor
  ) throws(NoGroup) -> LaunchGroup {
    guard let outer = CgroupPlace.group(of: target), let directory = CgroupPlace.directory(of: outer) else {
      throw NoGroup(.absent, "\(CgroupAbsent.notMounted)")
    }
    let component = "agentsh-\(id)"
    let name = (outer == "/" ? "" : outer) + "/" + component
    // First, so that the next daemon finds what this one makes, whenever it ends.
    do throws(SystemCallError) { try services.records.save(group: name, of: id) } catch {
      throw NoGroup(.unrecorded, "it cannot be recorded: \(error)")
    }
    let group: LaunchGroup
    do throws(CgroupAbsent) {
      group = LaunchGroup(try CgroupTree.make(named: component, below: directory), name: name)
    } catch { throw NoGroup(.absent, "\(directory): \(error)") }
    do throws(SystemCallError) {
      try group.add(target)
    } catch {
      try? group.remove()
      throw NoGroup(.notEntered, "\(directory)/\(component) cannot be entered: \(error)")
    }
    // The kernel takes a number here, not a pidfd. Who lives now was meant.
    if pidfd.processHasEnded {
      giveBack(group)
      throw NoGroup(.ended, "process \(target) ended meanwhile")
    }
    return group
  }

  /// A process that was given the number of one that died in between was just born, in its parent's group.
  private func giveBack(_ group: LaunchGroup) {
    for pid in group.members {
      guard let parent = ProcessFacts.stat(pid)?.parent, let home = CgroupPlace.group(of: parent),
        let directory = CgroupPlace.directory(of: home)
      else { continue }
      do throws(SystemCallError) { try CgroupTree.move(pid, to: directory) } catch {
        services.logger.error("process \(pid) is left in \(group.name): \(error)")
      }
    }
    try? group.remove()
  }

  /// Whether everybody in the launch's group is being ended.
  func killGroup(_ launch: Launch) -> Bool {
    guard let group = launch.group else { return false }
    do throws(SystemCallError) {
      try group.kill()
      return true
    } catch {
      services.logger.error("session \(launch.session.details.id): \(group.name) cannot be killed: \(error)")
      return false
    }
  }

  /// The launch is over: nobody goes on without a supervisor. Whether there was a group, and it is gone.
  func clearGroup(_ launch: Launch) -> Bool {
    guard let group = launch.group else { return false }
    return clear(group, launch.id, "session \(launch.session.details.id)")
  }

  private func clear(_ group: LaunchGroup, _ id: LaunchID, _ whose: String) -> Bool {
    do throws(SystemCallError) {
      let left = try group.clear()
      if left > 0 { services.logger.warning("\(whose): \(left) processes outlived it and are ended") }
      services.records.removeGroup(id)
      return true
    } catch {
      // Its record stays: the next daemon tries again.
      services.logger.error("\(whose): \(group.name) cannot be removed: \(error)")
      return false
    }
  }

  // MARK: after a restart

  /// The group that an earlier daemon put a launch into.
  func reopenGroup(of id: LaunchID) -> LaunchGroup? {
    guard let name = services.records.group(of: id) else { return nil }
    do throws(CgroupAbsent) { return try LaunchGroup.reopen(name) } catch {
      services.logger.error("the control group \(name) of an earlier daemon cannot be used: \(error)")
      return nil
    }
  }

  /// Groups of launches that were not recorded any more, or are over: nobody is to be in them.
  func clearStaleGroups(except known: Set<LaunchID>) {
    for id in services.records.groups where !known.contains(id) {
      guard let group = reopenGroup(of: id) else {
        services.records.removeGroup(id)
        continue
      }
      _ = clear(group, id, "a launch of an earlier daemon")
    }
  }
}

/// Why a launch has none.
private struct NoGroup: Error {
  enum Kind: String { case absent, unrecorded, notEntered, ended }
  let kind: Kind
  let cause: String
  init(_ kind: Kind, _ cause: String) {
    self.kind = kind
    self.cause = cause
  }
}
