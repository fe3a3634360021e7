#include "CLinux.h"
#include <linux/futex.h>
#include <sched.h>

/* Shares memory, descriptors and thread-local storage with the launcher, hence raw calls only: no errno, no locks. */
static int send_listener(void *argument)
{
  struct clinux_handoff *h = argument;
  const char byte = 0;
  int listener;
  clinux_syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
  if (clinux_syscall(SYS_getppid, 0, 0, 0, 0, 0, 0) != h->parent) return 1;
  while ((listener = __atomic_load_n(&h->listener, __ATOMIC_ACQUIRE)) == -1)
    clinux_syscall(SYS_futex, (long)&h->listener, FUTEX_WAIT, -1, 0, 0, 0);
  if (listener < 0) return 1;
  long sent;
  do sent = clinux_send_fds(h->socket, &byte, 1, &listener, 1); while (sent == -EINTR);
  __atomic_store_n(&h->result, sent == 1 ? 0 : sent < 0 ? (int)sent : -EIO, __ATOMIC_RELEASE);
  return sent == 1 ? 0 : 1;
}

long clinux_handoff_start(struct clinux_handoff *h, void *stack, size_t stack_size)
{
  h->listener = -1;
  h->result = -ECANCELED;
  h->parent = (int)clinux_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
  return RESULT(clone(send_listener, (char *)stack + stack_size, CLONE_VM | CLONE_FILES | SIGCHLD, h));
}

long clinux_handoff_finish(struct clinux_handoff *h, int pid, int listener)
{
  long waited;
  __atomic_store_n(&h->listener, listener, __ATOMIC_RELEASE);
  clinux_syscall(SYS_futex, (long)&h->listener, FUTEX_WAKE, 1, 0, 0, 0);
  do waited = clinux_syscall(SYS_wait4, pid, 0, 0, 0, 0, 0); while (waited == -EINTR);
  /* ECHILD: SIGCHLD was ignored when we were started; the wait has lasted until the helper's end all the same. */
  if (waited < 0 && waited != -ECHILD) return waited;
  return __atomic_load_n(&h->result, __ATOMIC_ACQUIRE);
}
