import AgentshAPI
import AgentshSession
import AgentshWire
import Testing

@Suite struct SessionStateTests {
  let id = LaunchID(number: 7)

  @Test func `a launch that goes well`() {
    var state = SessionState()
    #expect(state.state == .ready)
    #expect(state.apply(.announced, to: id) == [])
    #expect(state.state == .ready)
    #expect(state.apply(.handedOff(supervisor: 10, target: 11), to: id) == [])
    #expect(state.state == .running)
    #expect(
      state.apply(.ready(degraded: ["x"]), to: id)
        == [.record(.ready(supervisor: 10, target: 11, degraded: ["x"]))])
    #expect(
      state.apply(.finished(Finished(exitCode: 1, denied: 2)), to: id)
        == [.record(.finished(exitCode: 1, denied: 2)), .release])
    #expect(state.state == .finished)
  }

  @Test func `a caller that goes away before it hands over leaves the session as it was`() {
    var state = SessionState()
    _ = state.apply(.announced, to: id)
    #expect(state.apply(.abandoned, to: id) == [.release])
    #expect(state.state == .ready)
    #expect(state.apply(.handedOff(supervisor: 1, target: 2), to: id) == [])
    #expect(state.launches.isEmpty)
  }

  @Test func `a broken connection is waited for, a dead supervisor is not`() {
    var state = running()
    #expect(state.apply(.channelClosed(cause: nil), to: id).count == 1)
    #expect(state.state == .running)
    #expect(state.apply(.reattached, to: id) == [.record(.reattached(supervisor: 10))])
    #expect(
      state.apply(.supervisorDied, to: id)
        == [
          .kill(target: 11), .record(.lost(supervisor: 10, target: 11, cause: "the supervisor died")),
          .release,
        ])
    #expect(state.state == .finished)
  }

  @Test func `a supervisor that dies unready may have let its launcher go`() {
    var state = SessionState()
    _ = state.apply(.announced, to: id)
    _ = state.apply(.handedOff(supervisor: 10, target: 11), to: id)
    #expect(state.apply(.supervisorDied, to: id).first == .kill(target: 11))
    #expect(state.launches.isEmpty)
  }

  @Test func `a deleted session ends each launch by what it is in`() {
    var announced = SessionState()
    _ = announced.apply(.announced, to: id)
    #expect(announced.destroy().map(\.1) == [[.release]])
    var live = running()
    #expect(live.destroy().map(\.1) == [[.end(reason: "the session was deleted")]])
    #expect(live.destroy().isEmpty)
    var away = running()
    _ = away.apply(.channelClosed(cause: nil), to: id)
    #expect(away.destroy().map { $0.1.contains(.kill(target: 11)) } == [true])
  }

  @Test func `nothing starts in a deleted session`() {
    var state = SessionState()
    _ = state.destroy()
    _ = state.apply(.announced, to: id)
    #expect(state.launches.isEmpty)
  }

  /// Every input in every state: a launch that is over never comes back, and a kill is always recorded.
  @Test func `no order of inputs breaks the rules`() {
    let inputs: [SessionState.Input] = [
      .announced, .handedOff(supervisor: 10, target: 11), .ready(degraded: []), .failed(reason: "f"),
      .finished(Finished(exitCode: 0, denied: 0)), .channelClosed(cause: "c"), .reattached, .supervisorDied,
      .abandoned,
    ]
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      var state = SessionState()
      var releases = 0
      for _ in 0..<12 {
        let input = inputs.randomElement(using: &generator) ?? .announced
        let before = state.launches[id]
        let actions = state.apply(input, to: id)
        releases += actions.filter { $0 == .release }.count
        #expect(actions.contains(.release) == (before != nil && state.launches[id] == nil))
        if actions.contains(.kill(target: 11)) {
          #expect(
            actions.contains {
              switch $0 {
              case .record(.lost), .record(.refused): true
              default: false
              }
            })
        }
      }
    }
  }

  private func running() -> SessionState {
    var state = SessionState()
    _ = state.apply(.announced, to: id)
    _ = state.apply(.handedOff(supervisor: 10, target: 11), to: id)
    _ = state.apply(.ready(degraded: []), to: id)
    return state
  }

  @Test func `a session that was made for a start goes when that comes to nothing`() {
    let id = LaunchID.random()
    for input in [SessionState.Input.abandoned, .failed(reason: "x")] {
      var state = SessionState(isForOneStart: true)
      _ = state.apply(.announced, to: id)
      #expect(state.apply(input, to: id).suffix(2) == [.release, .discard])
    }
    var other = SessionState()
    _ = other.apply(.announced, to: id)
    #expect(other.apply(.abandoned, to: id) == [.release])
    // Something ran in it: it stays to be asked about.
    var used = SessionState(isForOneStart: true)
    _ = used.apply(.announced, to: id)
    _ = used.apply(.handedOff(supervisor: 1, target: 2), to: id)
    _ = used.apply(.ready(degraded: []), to: id)
    #expect(used.apply(.finished(Finished(exitCode: 0, denied: 0)), to: id).last == .release)
    // Another start waits in it.
    var shared = SessionState(isForOneStart: true)
    _ = shared.apply(.announced, to: id)
    _ = shared.apply(.announced, to: LaunchID.random())
    #expect(shared.apply(.abandoned, to: id) == [.release])
  }
}
