/* What the launcher alone needs; conventions as in CLinux.h. */
#ifndef CLINUX_LAUNCH_H
#define CLINUX_LAUNCH_H
#include "CLinux.h"

/* A helper that stays without the filter and sends the listener: the launcher's own sendmsg would wait for whoever
 * holds the listener, that is for itself. */
struct clinux_handoff {
  int socket;   /* where the byte 0x00 with the listener goes */
  int listener; /* futex: -1 until the listener is known, -2 to give up */
  int result;   /* 0 once sent, else -errno */
  int parent;
};
/* Makes the helper: the child's pid. The structure and the stack stay until clinux_handoff_finish. */
long clinux_handoff_start(struct clinux_handoff *handoff, void *stack, size_t stack_size);
/* Tells the helper the listener (or -2), waits until it is gone. 0, or -errno of what failed. */
long clinux_handoff_finish(struct clinux_handoff *handoff, int pid, int listener);

/* clinux_spawn by a name that Swift can call: there the structure of the same name hides the function. */
static inline long clinux_start(const struct clinux_spawn *request, int *pidfd, int *stage)
{
  return clinux_spawn(request, pidfd, stage);
}

/* main's argv as the kernel gave it: bytes, and without /proc. */
char **clinux_arguments(int *argc);

#endif
