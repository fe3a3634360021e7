import AgentshPolicy
package import AgentshWire

/// What a daemon that comes back must know of a running launch. Written before the agent may run its first instruction.
package struct LaunchRecord: Sendable, Equatable {
  package static let version: UInt16 = 5

  package var launch: UInt64
  /// Of the running kernel: pids of an earlier boot mean nothing.
  package var bootID: String
  package var createdAt: UInt64
  package var ownerGID: UInt32
  package var policyName: String
  package var home: String
  package var projectRoot: String
  package var gitRoot: String
  package var realPaths: Bool
  package var supervisorPid: Int32
  /// Clock ticks since boot (`/proc/PID/stat`, field 22): the pid may belong to another by now.
  package var supervisorStart: UInt64
  package var targetPid: Int32
  package var targetStart: UInt64
  package var welcome: Welcome

  package init(
    launch: LaunchID, bootID: String, session: SessionDetails, supervisor: (pid: Int32, start: UInt64),
    target: (pid: Int32, start: UInt64), welcome: Welcome
  ) {
    self.launch = launch.number
    self.bootID = bootID
    createdAt = session.createdAt
    ownerGID = session.ownerGID
    policyName = session.policyName
    home = session.workspace.home
    projectRoot = session.workspace.projectRoot
    gitRoot = session.workspace.gitRoot
    realPaths = session.realPaths
    supervisorPid = supervisor.pid
    supervisorStart = supervisor.start
    targetPid = target.pid
    targetStart = target.start
    self.welcome = welcome
  }

  package var id: LaunchID { LaunchID(number: launch) }

  /// The session as it was.
  package var details: SessionDetails {
    SessionDetails(
      id: welcome.sessionID, ownerUID: welcome.ownerUID, ownerGID: ownerGID, createdAt: createdAt,
      workspace: Workspace(path: welcome.workspace, home: home, projectRoot: projectRoot, gitRoot: gitRoot),
      policyName: policyName, rules: welcome.policy, realPaths: realPaths)
  }
}

extension LaunchRecord: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.integer(Self.version)
    writer.integer(launch)
    writer.value(bootID)
    writer.integer(createdAt)
    writer.integer(ownerGID)
    writer.value(policyName)
    writer.value(home)
    writer.value(projectRoot)
    writer.value(gitRoot)
    writer.value(realPaths)
    writer.integer(supervisorPid)
    writer.integer(supervisorStart)
    writer.integer(targetPid)
    writer.integer(targetStart)
    writer.value(welcome)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    guard try reader.value(UInt16.self) == Self.version else {
      throw .badValue(offset: 0, what: "version of the launch record")
    }
    launch = try reader.value()
    bootID = try reader.value()
    createdAt = try reader.value()
    ownerGID = try reader.value()
    policyName = try reader.value()
    home = try reader.value()
    projectRoot = try reader.value()
    gitRoot = try reader.value()
    realPaths = try reader.value()
    supervisorPid = try reader.value()
    supervisorStart = try reader.value()
    targetPid = try reader.value()
    targetStart = try reader.value()
    welcome = try reader.value()
  }
}
