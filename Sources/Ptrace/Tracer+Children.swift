import CLinux
import LinuxSystem
import Synchronization

/// Who is born, and what becomes another program.
extension Tracer {
  func made(_ parent: Int32, _ event: Int32) {
    if let child = message(parent) {
      register(child, of: known(parent).process, isThread: event == Event.clone)
    }
    resume(parent)
  }

  func register(_ child: Int32, of parent: Int32, isThread: Bool) {
    let process = isThread ? processNumber(child) ?? child : child
    let isHere = state.withLock { state in
      if state.value.stillborn.remove(child) != nil, sendSignal(toPid: child, 0) < 0 {
        return false
      }
      let isNew = state.value.threads[child] == nil
      if isNew { state.value.threads[child] = Traced(process: process) }
      if process == child, let parent = state.value.places[parent] {
        parent.retire()
        // One that has run already may be another program by now, without what its parent had.
        if isNew, let place = GivingPlace(child) {
          place.inherit(parent)
          state.value.places[child] = place
        }
      }
      return state.value.early.remove(child) != nil
    }
    if isHere { resume(child) }
  }

  func executed(_ process: Int32) {
    let former = message(process) ?? process
    let watch = state.withLock { state -> Watch? in
      let traced = state.value.threads.removeValue(forKey: former)
      // The first thread ends unheard of when another executes.
      if former != process, let first = state.value.threads[process] {
        state.value.waiting.removeValue(forKey: first.id)
        first.watch?.tell(.gone)
      }
      state.value.places.removeValue(forKey: process)
      state.value.threads[process] = Traced(process: process)
      return traced?.watch
    }
    if let watch { watch.tell(.made(process)) } else { resume(process) }
    adoptEarly()
  }

  /// At the end of a call that was let go on and is watched.
  func returned(_ thread: Int32) {
    let watch = state.withLock { state in
      defer { state.value.threads[thread]?.watch = nil }
      return state.value.threads[thread]?.watch
    }
    guard let watch, let registers = readRegisters(thread) else {
      watch?.tell(.gone)
      resume(thread)
      return
    }
    watch.tell(.failed(registers.result))
  }

  /// Parents that are killed say nothing of their children any more.
  func adoptEarly() {
    let early = state.withLock { state in
      defer { state.value.early = [] }
      // What they hold of their parents' is not known.
      if !state.value.early.isEmpty { for place in state.value.places.values { place.retire() } }
      return state.value.early
    }
    for child in early {
      _ = known(child)
      resume(child)
    }
  }
}
