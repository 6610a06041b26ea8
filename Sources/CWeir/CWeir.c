#define _GNU_SOURCE
#include "CWeir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static __thread void *current_loop;
void *weir_current_loop(void) { return current_loop; }
void weir_set_current_loop(void *loop) { current_loop = loop; }

int weir_errno(void) { return errno; }

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

int weir_pipe(int ends[2]) { return result(pipe2(ends, O_CLOEXEC | O_NONBLOCK)); }

int weir_accept(int listener, void *address, uint32_t *length) {
  socklen_t size = *length;
  int fd = accept4(listener, address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  *length = size;
  return result(fd);
}

int weir_stream_socket(int family) { return result(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

int weir_unread(int fd) {
  int count = 0;
  return ioctl(fd, FIONREAD, &count) < 0 ? 0 : count;
}

void weir_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int weir_random(void *bytes, size_t count) {
  size_t done = 0;
  while (done < count) {
    ssize_t n = getrandom((char *)bytes + done, count - done, 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      return -errno;
    }
    done += (size_t)n;
  }
  return 0;
}

static atomic_int signal_pipe[65];

static void on_signal(int number) {
  int saved = errno;
  unsigned char byte = (unsigned char)number;
  int fd = atomic_load(&signal_pipe[number]) - 1;
  // A full pipe means that the loop has plenty of arrivals to read: dropping one more is right.
  if (fd >= 0 && write(fd, &byte, 1) < 0) {}
  errno = saved;
}

int weir_signal_watch(int number, int fd) {
  if (number < 1 || number > 64) return -EINVAL;
  atomic_store(&signal_pipe[number], fd + 1);
  struct sigaction action = {0};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  return result(sigaction(number, &action, NULL));
}

int weir_signal_unwatch(int number) {
  if (number < 1 || number > 64) return -EINVAL;
  struct sigaction action = {0};
  action.sa_handler = SIG_DFL;
  int r = result(sigaction(number, &action, NULL));
  atomic_store(&signal_pipe[number], 0);
  return r;
}

void weir_ignore_broken_pipes(void) {
  struct sigaction action = {0};
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, NULL);
}
