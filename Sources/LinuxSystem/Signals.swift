import CLinux

/// Lets one signal through in the calling thread. `pthread_sigmask(3)`.
package func unblockSignal(_ signal: Int32) {
  var set = sigset_t()
  // SAFETY: `set` lives across the calls.
  unsafe sigemptyset(&set)
  unsafe sigaddset(&set, signal)
  unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
}

/// Blocks every signal in the calling thread. `pthread_sigmask(3)`.
package func blockAllSignals() {
  var set = sigset_t()
  // SAFETY: `set` lives across the calls.
  unsafe sigfillset(&set)
  unsafe pthread_sigmask(SIG_SETMASK, &set, nil)
}

/// A handler that does nothing, without SA_RESTART: the signal only ends a blocking call with EINTR. `sigaction(2)`.
package func catchQuietly(_ signal: Int32) { clinux_set_signal(signal, CLINUX_SIGNAL_QUIET) }

/// Ignores a signal. `sigaction(2)`.
package func ignore(_ signal: Int32) { clinux_set_signal(signal, CLINUX_SIGNAL_IGNORE) }

/// Has the end of children waited for, whoever started us: with SIGCHLD ignored, which an execve keeps, the kernel takes
/// them itself, and their status with them. `wait(2)`
package func keepChildren() { clinux_set_signal(SIGCHLD, CLINUX_SIGNAL_DEFAULT) }
