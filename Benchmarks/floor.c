/* What the kernel itself takes for notified calls, on this machine: `floor carry|continue COMMAND…`. COMMAND's calls that take paths are
 * notified. "continue" lets each go on without a look; "carry" opens files for their callers, whom it holds on its CPU meanwhile, and
 * lets the rest go on. Nothing is decided, recorded or protected: no design that is notified is faster (Scripts/bench --floor). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static const int calls[] = {
  SYS_open, SYS_openat, SYS_openat2, SYS_creat, SYS_unlink, SYS_unlinkat, SYS_rmdir, SYS_rename, SYS_renameat,
  SYS_renameat2, SYS_mkdir, SYS_mkdirat, SYS_link, SYS_linkat, SYS_symlink, SYS_symlinkat, SYS_mknod, SYS_truncate,
  SYS_chmod, SYS_fchmodat, SYS_chown, SYS_lchown, SYS_fchownat, SYS_utimensat, SYS_fchmod, SYS_fchown, SYS_execve,
  SYS_execveat, SYS_connect, SYS_bind,
};
enum { COUNT = sizeof calls / sizeof *calls };

static void fail(const char *what)
{
  perror(what);
  exit(1);
}

/* Returns the listener. */
static int install(void)
{
  struct sock_filter code[COUNT + 3] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
  for (int i = 0; i < COUNT; i++) code[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], COUNT - i, 0);
  code[COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  code[COUNT + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
  struct sock_fprog program = {COUNT + 3, code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("no_new_privs");
  int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  if (listener < 0) fail("seccomp");
  return listener;
}

union control { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; };
static void send_listener(int to, int listener)
{
  union control control = {.header = {CMSG_LEN(sizeof listener), SOL_SOCKET, SCM_RIGHTS}};
  struct iovec part = {"", 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  memcpy(CMSG_DATA(&control.header), &listener, sizeof listener);
  if (sendmsg(to, &message, 0) != 1) fail("sendmsg");
}
static int receive_listener(int from)
{
  union control control;
  char byte;
  int listener;
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  if (recvmsg(from, &message, 0) != 1) fail("recvmsg");
  memcpy(&listener, CMSG_DATA(&control.header), sizeof listener);
  return listener;
}

/* An open by an absolute name, or one relative to the working directory. Returns 0 where the kernel is to do it. */
static int carry(int listener, const struct seccomp_notif *asked, struct seccomp_notif_resp *answer, const cpu_set_t *all)
{
  static char text[64 + 4096];
  int at = asked->data.nr == SYS_openat;
  if (!at && asked->data.nr != SYS_open) return 0;
  const __u64 *a = asked->data.args;
  int flags = a[at + 1], directory = at ? (int)a[0] : AT_FDCWD;
  size_t room = 4096 - (a[at] & 4095);
  struct iovec ours = {text + 64, 4096}, theirs = {(void *)a[at], room > 256 ? 256 : room};
  ssize_t got = process_vm_readv(asked->pid, &ours, 1, &theirs, 1, 0);
  if (got <= 0 || !memchr(text + 64, 0, got) || flags & O_PATH || !text[64]) return 0;
  char *name = text + 64;
  if (!strncmp(name, "/proc/", 6) || !strncmp(name, "/dev/", 5)) return 0;
  if (*name != '/') {
    char prefix[64];
    if (directory != AT_FDCWD) return 0;
    int length = snprintf(prefix, sizeof prefix, "/proc/%d/cwd/", asked->pid);
    name = memcpy(name - length, prefix, length);
  }
  int file = open(name, flags | O_CLOEXEC | O_NOCTTY, a[at + 2] & 07777);
  answer->flags = 0;
  answer->error = file < 0 ? -errno : 0;
  if (file < 0) return 1;
  struct seccomp_notif_addfd add = {.id = asked->id, .srcfd = file, .newfd_flags = flags & O_CLOEXEC};
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(sched_getcpu(), &here);
  sched_setaffinity(asked->pid, sizeof here, &here);
  answer->val = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
  sched_setaffinity(asked->pid, sizeof *all, all);
  close(file);
  return 1;
}

int main(int argc, char **argv)
{
  int pair[2], ended, status = 0;
  int carries = argc > 2 && !strcmp(argv[1], "carry");
  if (argc < 3 || !carries && strcmp(argv[1], "continue")) return fprintf(stderr, "usage: floor carry|continue COMMAND…\n"), 2;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) || prctl(PR_SET_CHILD_SUBREAPER, 1)) fail("socketpair");
  pid_t child = fork();
  if (child == 0) {
    int listener = install();
    send_listener(pair[1], listener);
    close(listener);
    execvp(argv[2], argv + 2);
    fail(argv[2]);
  }
  close(pair[1]);
  int listener = receive_listener(pair[0]);
  /* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP */
  ioctl(listener, SECCOMP_IOW(4, __u64), 1);
  cpu_set_t all;
  sched_getaffinity(0, sizeof all, &all);
  umask(0);
  for (;;) {
    struct seccomp_notif asked = {0};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked)) {
      struct pollfd entry = {listener, POLLIN, 0};
      if (errno != EINTR && errno != ENOENT || poll(&entry, 1, 0) > 0 && entry.revents & POLLHUP) break;
      continue;
    }
    struct seccomp_notif_resp answer = {.id = asked.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    if (carries) carry(listener, &asked, &answer, &all);
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
  for (pid_t who; (who = wait(&ended)) > 0;) if (who == child) status = WIFEXITED(ended) ? WEXITSTATUS(ended) : 1;
  return status;
}
