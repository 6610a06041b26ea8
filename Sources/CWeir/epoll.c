// The poller and its wake-up for Linux: epoll and eventfd. Another kernel's file (kqueue) stands beside this one.
#ifdef __linux__
#define _GNU_SOURCE
#include "CWeir.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int result(int r) { return r < 0 ? -errno : r; }

int weir_poller_create(void) { return result(epoll_create1(EPOLL_CLOEXEC)); }

static int control(int poller, int operation, int fd, uint32_t interest, uint64_t token) {
  struct epoll_event event = {0};
  if (interest & WEIR_READABLE) event.events |= EPOLLIN;
  if (interest & WEIR_WRITABLE) event.events |= EPOLLOUT;
  event.data.u64 = token;
  return result(epoll_ctl(poller, operation, fd, &event));
}

int weir_poller_add(int poller, int fd, uint32_t interest, uint64_t token) {
  return control(poller, EPOLL_CTL_ADD, fd, interest, token);
}
int weir_poller_change(int poller, int fd, uint32_t interest, uint64_t token) {
  return control(poller, EPOLL_CTL_MOD, fd, interest, token);
}
int weir_poller_remove(int poller, int fd) { return control(poller, EPOLL_CTL_DEL, fd, 0, 0); }

// epoll_pwait2 (Linux 5.11) waits by the nanosecond; older kernels and strict containers get whole milliseconds,
// rounded up so that no timer fires early.
static atomic_int coarse;

static int wait_for(int poller, struct epoll_event *events, int limit, int64_t nanoseconds) {
  if (nanoseconds < 0) return epoll_wait(poller, events, limit, -1);
  if (nanoseconds == 0) return epoll_wait(poller, events, limit, 0);
#ifdef SYS_epoll_pwait2
  if (!atomic_load_explicit(&coarse, memory_order_relaxed)) {
    struct timespec t = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    int n = (int)syscall(SYS_epoll_pwait2, poller, events, limit, &t, NULL, 0);
    if (n >= 0 || (errno != ENOSYS && errno != EPERM)) return n;
    atomic_store_explicit(&coarse, 1, memory_order_relaxed);
  }
#endif
  int64_t ms = (nanoseconds + 999999) / 1000000;
  return epoll_wait(poller, events, limit, ms > 1000000000 ? 1000000000 : (int)ms);
}

int weir_poller_wait(int poller, weir_event *events, int limit, int64_t nanoseconds) {
  struct epoll_event raw[256];
  if (limit > 256) limit = 256;
  int n = wait_for(poller, raw, limit, nanoseconds);
  if (n < 0) return errno == EINTR ? 0 : -errno;
  for (int i = 0; i < n; i++) {
    uint32_t e = raw[i].events, ready = 0;
    if (e & EPOLLIN) ready |= WEIR_READABLE;
    if (e & EPOLLOUT) ready |= WEIR_WRITABLE;
    if (e & (EPOLLERR | EPOLLHUP)) ready |= WEIR_BROKEN;
    events[i].token = raw[i].data.u64;
    events[i].ready = ready;
  }
  return n;
}

int weir_wakeup_create(void) { return result(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }
void weir_wakeup_signal(int fd) {
  uint64_t one = 1;
  while (write(fd, &one, sizeof one) < 0 && errno == EINTR) {}
}
void weir_wakeup_clear(int fd) {
  uint64_t count;
  while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {}
}
#endif
