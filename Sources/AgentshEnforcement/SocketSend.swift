import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

// sendto, sendmsg, sendmmsg. The payload, the ancillary data and the destination are copied and sent on the duplicate.
// On sockets that connect (stream, seqpacket) the destination was decided then, and one in the message means nothing;
// still nothing is continued, because the descriptor number could name another socket by the time the kernel looks.
//
// The receiver only tries (MSG_DONTWAIT); what would wait is done by a helper from the start. A blocking stream is
// tried only where there is surely room for all of it, so that no short count is seen where the kernel gives none.

/// What came of one message.
private struct Sent {
  /// Bytes, or -errno.
  var result: Int
  /// Present when there was a destination to decide on; its name is in `scratch.name`.
  var ruling: Ruling?
  /// A helper has to do it.
  var mustWait = false
}

extension Mediator {
  /// More is copied by a helper.
  private static let receiverLimit = 64 << 10

  func sendTo(
    _ n: consuming PendingNotification, _ socket: borrowing CallerSocket, _ scratch: inout Scratch,
    _ started: UInt64
  ) {
    let header = MessageHeader(
      payload: n.argument[1], count: n.argument[2], name: n.argument[4], nameLength: n.int(5))
    let sent = send(n, socket, header, flags: n.int(3), &scratch)
    answerSent(n, socket, sent, flags: n.int(3), &scratch, started)
  }

  func sendMessage(
    _ n: consuming PendingNotification, _ socket: borrowing CallerSocket, _ scratch: inout Scratch,
    _ started: UInt64
  ) {
    let sent = sendOne(n, socket, at: n.argument[1], flags: n.int(2), &scratch)
    answerSent(n, socket, sent, flags: n.int(2), &scratch, started)
  }

  /// Several messages, each decided on; the first that fails ends it. As the kernel does: the number of messages that
  /// went, or the error when none did.
  func sendMessages(
    _ n: consuming PendingNotification, _ socket: borrowing CallerSocket, _ scratch: inout Scratch,
    _ started: UInt64
  ) {
    let size = UInt64(MessageHeader.size + 8)
    // What was approved is one message.
    let count = scratch.reply == nil ? min(n.argument[2] & 0xffff_ffff, UInt64(MessageHeader.rangeLimit)) : 1
    let flags = n.int(3)
    var rulings: [(ruling: Ruling, errno: Int32, raw: [UInt8], name: [UInt8])] = []
    var done: UInt64 = 0
    var last = Sent(result: 0)
    while done < count {
      let at = n.argument[1] &+ done &* size
      last = sendOne(n, socket, at: at, flags: flags, &scratch)
      // After others have gone: the caller sends the rest again, and then this one is asked about.
      if last.mustWait || done > 0 && last.ruling.map({ scratch.holds($0.decision) }) == true { break }
      if let ruling = last.ruling {
        let errno = Int32(truncatingIfNeeded: max(0, -last.result))
        rulings.append((ruling, errno, Array(scratch.raw.bytes), Array(scratch.name.bytes)))
      }
      if last.result < 0 { break }
      let stored = storeNumber(
        UInt32(truncatingIfNeeded: last.result), in: n.thread, at: at &+ UInt64(MessageHeader.size))
      if stored < 0 {
        last = Sent(result: stored)
        break
      }
      done += 1
    }
    if done == 0 {
      // Nothing went, so all that was found out is said by the one answer.
      answerSent(n, socket, last, flags: flags, &scratch, started)
      return
    }
    let outcomes = rulings.map {
      (
        Recorder.Outcome(
          $0.ruling.kind, n, operation: $0.ruling.operation.rawValue, decision: $0.ruling.decision,
          errno: $0.errno,
          started: started), $0.raw, $0.name
      )
    }
    n.complete(Int64(done))
    for (outcome, raw, name) in outcomes {
      scratch.raw.removeAll()
      scratch.raw.append(raw)
      scratch.name.removeAll()
      scratch.name.append(name)
      record(outcome, scratch)
    }
  }

  private func sendOne(
    _ n: borrowing PendingNotification, _ socket: borrowing CallerSocket, at address: UInt64, flags: Int32,
    _ scratch: inout Scratch
  ) -> Sent {
    do throws(MessageHeader.Failure) {
      let header = try MessageHeader.read(n, at: address, &scratch.text)
      return send(n, socket, header, flags: flags, &scratch)
    } catch {
      guard case .errno(let errno) = error else { return Sent(result: -Int(EPERM)) }
      return unread(errno, &scratch)
    }
  }

  /// Memory that is closed to us (EACCES) is a denial, with its record; all else is the kernel's errno.
  private func unread(_ errno: Int32, _ scratch: inout Scratch) -> Sent {
    guard errno == EACCES || errno == EPERM else { return Sent(result: -Int(errno)) }
    scratch.raw.removeAll()
    scratch.name.removeAll()
    let decision = Decision(.deny, .network, default: .unresolved)
    return Sent(result: -Int(EACCES), ruling: Ruling(kind: .send, operation: .sendto, decision: decision))
  }

  /// Ancillary data that cannot be sent in the caller's place (EPERM, EACCES) is a denial; all else is the kernel's errno.
  private func refused(
    _ errno: Int32, _ socket: borrowing CallerSocket, _ ruling: Ruling?, _ scratch: inout Scratch
  ) -> Sent {
    guard errno == EPERM || errno == EACCES else { return Sent(result: -Int(errno), ruling: ruling) }
    if ruling == nil {
      scratch.raw.removeAll()
      scratch.name.removeAll()
    }
    let decision = Decision(.deny, socket.isUnix ? .unixSocket : .network, default: .unresolved)
    let kind: EventRecord.Kind = socket.isUnix ? .unixSocket : .send
    return Sent(result: -Int(errno), ruling: Ruling(kind: kind, operation: .sendto, decision: decision))
  }

  /// Decides on one message and sends it.
  private func send(
    _ n: borrowing PendingNotification, _ socket: borrowing CallerSocket, _ header: MessageHeader,
    flags: Int32,
    _ scratch: inout Scratch
  ) -> Sent {
    // The filter refuses it; a destination in such a message would be a connect.
    if flags & 0x2000_0000 != 0 { return Sent(result: -Int(EOPNOTSUPP)) }
    if !scratch.mayBlock, header.total > Self.receiverLimit { return Sent(result: 0, mustWait: true) }
    scratch.rawOther.removeAll()
    if header.nameLength != 0 {
      let problem = readAddress(n, at: header.name, length: header.nameLength, &scratch)
      if problem != 0 { return unread(problem, &scratch) }
    }
    if header.nameLength == 0 || socket.isConnected {
      return transmit(n, socket, header, nameLength: scratch.rawOther.count, flags: flags, nil, &scratch)
    }
    switch judge(n, socket, .sendto, &scratch) {
    case .mustWait: return Sent(result: 0, mustWait: true)
    case .denied(let errno, let ruling): return Sent(result: -Int(errno), ruling: ruling)
    case .failed(let errno, let ruling): return Sent(result: -Int(errno), ruling: ruling)
    case .permitted(let length, let pin, let ruling):
      let sent = transmit(n, socket, header, nameLength: length, flags: flags, ruling, &scratch)
      _ = consume pin
      return sent
    }
  }

  /// Sends to the address in `scratch.rawOther`, in pieces where it is a long stream.
  private func transmit(
    _ n: borrowing PendingNotification, _ socket: borrowing CallerSocket, _ header: MessageHeader,
    nameLength: Int,
    flags: Int32, _ ruling: Ruling?, _ scratch: inout Scratch
  ) -> Sent {
    let total = header.total
    let isStream = socket.type == SocketType.stream
    let blocks = !socket.nonBlocking && flags & Int32(MSG_DONTWAIT) == 0
    if total > MessageHeader.payloadLimit, !isStream { return Sent(result: -Int(EMSGSIZE), ruling: ruling) }
    if blocks, !scratch.mayBlock, isStream, socketRoom(socket.number) < 2 * total + 4096 {
      return Sent(result: 0, mustWait: true)
    }
    var control = ControlMessages()
    if header.controlLength > 0 {
      switch header.readControl(n) {
      case .failure(let error): return Sent(result: -Int(error.errno), ruling: ruling)
      case .success(let data):
        let problem = control.translate(data, n, socket)
        if problem != 0 { return refused(problem, socket, ruling, &scratch) }
      }
    }
    guard let sending = flagsToSend(socket, flags, wait: blocks && scratch.mayBlock) else {
      return Sent(result: -Int(ENOBUFS), ruling: ruling)
    }
    var offset = 0
    repeat {
      let piece: [UInt8]
      switch header.readPayload(n, from: offset, limit: MessageHeader.payloadLimit) {
      case .failure(let error): return Sent(result: offset > 0 ? offset : -Int(error.errno), ruling: ruling)
      case .success(let bytes): piece = bytes
      }
      guard n.isAlive() else { return Sent(result: -Int(EINTR), ruling: ruling) }
      let result = put(
        n, socket, piece, offset == 0 ? control.bytes : [], nameLength: nameLength, flags: sending,
        wait: blocks && scratch.mayBlock, &scratch)
      if result == -Int(EAGAIN), offset == 0, blocks, !scratch.mayBlock {
        return Sent(result: 0, ruling: ruling, mustWait: true)
      }
      if result < 0 { return Sent(result: offset > 0 ? offset : result, ruling: ruling) }
      offset += result
      if result < piece.count { break }
    } while offset < total
    return Sent(result: offset, ruling: ruling)
  }

  /// MSG_NOSIGNAL because the signal would be ours. Without MSG_ZEROCOPY, whose bytes would have to stay where they are
  /// after the call; nil where the caller would wait to hear that they may go: ENOBUFS makes it copy.
  private func flagsToSend(_ socket: borrowing CallerSocket, _ flags: Int32, wait: Bool) -> Int32? {
    let zeroCopy: Int32 = 0x400_0000
    if flags & zeroCopy != 0, case .success(let on) = socketOption(socket.number, 60), on != 0 { return nil }
    let kept = flags & ~zeroCopy | Int32(bitPattern: UInt32(MSG_NOSIGNAL))
    return wait ? kept : kept | Int32(MSG_DONTWAIT)
  }

  private func put(
    _ n: borrowing PendingNotification, _ socket: borrowing CallerSocket, _ payload: [UInt8],
    _ control: [UInt8],
    nameLength: Int, flags: Int32, wait: Bool, _ scratch: inout Scratch
  ) -> Int {
    let number = socket.number
    let address = nameLength > 0 ? scratch.rawOther : nil
    func act() -> Int {
      LinuxSystem.sendMessage(
        number, to: address, length: nameLength, payload: payload.span, control: control.span, flags: flags)
    }
    func perform() -> Int { wait ? helpers.waiting(for: n, act) : act() }
    guard socket.isUnix else { return perform() }
    return asCaller(n, &scratch, perform) ?? -Int(EACCES)
  }

  private func answerSent(
    _ n: consuming PendingNotification, _ socket: borrowing CallerSocket, _ sent: Sent, flags: Int32,
    _ scratch: inout Scratch, _ started: UInt64
  ) {
    if sent.mustWait {
      handOver(n)
      return
    }
    // The signal that the kernel would have sent to the calling thread; it still waits for us.
    let quiet = flags & Int32(bitPattern: UInt32(MSG_NOSIGNAL)) != 0
    if sent.result == -Int(EPIPE), !quiet, socket.type == SocketType.stream, n.isAlive() {
      if socket.pidfdIsThread {
        sendSignal(socket.pidfd.number, SIGPIPE)
      } else {
        rawCall(Int(SYS_tkill), Int(n.thread), Int(SIGPIPE))
      }
    }
    if let ruling = sent.ruling, scratch.holds(ruling.decision) {
      hold(n, scratch)
      return
    }
    if let ruling = sent.ruling {
      answer(n, socket, result: sent.result, ruling, scratch, started)
    } else if sent.result >= 0 {
      n.complete(Int64(sent.result))
    } else if sent.result == -Int(EINTR) {
      answerInterrupted(n, socket)
    } else {
      n.fail(Int32(truncatingIfNeeded: -sent.result))
    }
  }
}
