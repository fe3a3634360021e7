import AgentshSession
import Cgroup
import LinuxSystem
import Logging

extension LaunchDirector {
  /// Makes the group before anybody is in it, below the client's own. The client starts the launcher in it where the
  /// kernel lets it, which costs nothing; see `enclose`. ADR 44
  func prepareGroup(_ launch: Launch, for client: Int32, _ pidfd: SharedDescriptor) {
    do throws(NoGroup) {
      let place = try place(for: launch.id, around: client)
      if pidfd.processHasEnded { throw NoGroup(.ended, "process \(client) ended meanwhile") }
      launch.setGroup(try makeGroup(launch.id, place))
    } catch { noteWithout(launch, error) }
  }

  /// A launch is asked for whose process will have to be moved. Returns at once.
  func expectMove(for client: Caller) {
    if client.uid != currentUser() { mover.begin() }
  }

  /// Sees to it that the launched process is in a group of its own before it is told to go on, so that all that it starts is
  /// born there. Where there can be none the launch goes on without: its tree is found by parents and filters then. ADR 40
  func enclose(_ launch: Launch, _ target: Int32, _ pidfd: SharedDescriptor) {
    if let group = launch.group {
      // Both before and after, it is the process that was meant.
      if CgroupPlace.group(of: target) == group.name, !pidfd.processHasEnded { return }
      _ = clearGroup(launch)
      launch.setGroup(nil)
    }
    do throws(NoGroup) {
      let group = try makeGroup(launch.id, place(for: launch.id, around: target))
      try move(target, pidfd, into: group)
      launch.setGroup(group)
      let uid = launch.session.details.ownerUID
      noteOnce(
        "uid \(uid): programs are moved into their control groups, their clients cannot start them there (said once; docs/enforcement.md)",
        about: "moved \(uid)", .info)
    } catch { noteWithout(launch, error) }
  }

  private func noteWithout(_ launch: Launch, _ error: NoGroup) {
    services.records.removeGroup(launch.id)
    noteOnce(
      "session \(launch.session.details.id) has no control group: \(error.cause) (said once; docs/enforcement.md)",
      about: error.kind.rawValue)
  }

  /// A group to be made: its name, and the directory of the one above.
  private typealias Place = (above: String, component: String, name: String)

  private func place(for id: LaunchID, around pid: Int32) throws(NoGroup) -> Place {
    guard let outer = CgroupPlace.group(of: pid), let directory = CgroupPlace.directory(of: outer) else {
      throw NoGroup(.absent, "\(CgroupAbsent.notMounted)")
    }
    let component = "agentsh-\(id)"
    return (directory, component, (outer == "/" ? "" : outer) + "/" + component)
  }

  private func makeGroup(_ id: LaunchID, _ place: Place) throws(NoGroup) -> LaunchGroup {
    // First, so that the next daemon finds what this one makes, whenever it ends.
    do throws(SystemCallError) { try services.records.save(group: place.name, of: id) } catch {
      throw NoGroup(.unrecorded, "it cannot be recorded: \(error)")
    }
    do throws(CgroupAbsent) {
      return LaunchGroup(try CgroupTree.make(named: place.component, below: place.above), name: place.name)
    } catch { throw NoGroup(.absent, "\(place.above): \(error)") }
  }

  private func move(_ target: Int32, _ pidfd: SharedDescriptor, into group: LaunchGroup) throws(NoGroup) {
    do throws(SystemCallError) { try group.add(target) } catch {
      try? group.remove()
      throw NoGroup(.notEntered, "\(group.path) cannot be entered: \(error)")
    }
    // The kernel takes a number here, not a pidfd. Who lives now was meant.
    if pidfd.processHasEnded {
      giveBack(group)
      throw NoGroup(.ended, "process \(target) ended meanwhile")
    }
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
