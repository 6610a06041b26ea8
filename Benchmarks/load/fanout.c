// One publisher, N readers of one event stream: every token goes to every reader.
//
//   fanout SUB_PORT SUB_PATH PUB_PORT PUB_PATH N TOKENS MODE PID LIMIT_SECONDS
//
// MODE: `window=W` keeps W tokens in flight (saturation), `rate=R` offers R tokens a second, `idle=S` only opens the
// readers, waits S seconds and reports memory. A token is `@T<nanoseconds>@` padded to 48 bytes, POSTed on one
// keep-alive connection; a delivery is a token seen by a reader. One line of JSON on stdout.
#include "common.h"

typedef struct {
  int fd;
  long seen;
  char keep[64];
  int kept;
} Reader;

static long delivered, delay_count, delay_room;
static double *delays;
static int64_t oldest;  // only stamps of the measured part count

static void scan(Reader *r, char *text, int length, int64_t now) {
  char *at = text, *end = text + length;
  while (at < end) {
    char *mark = memchr(at, '@', end - at);
    if (!mark) break;
    if (end - mark < 22) {
      r->kept = end - mark;
      memcpy(r->keep, mark, r->kept);
      return;
    }
    if (mark[1] == 'T' && mark[21] == '@') {
      int64_t value = 0;
      for (int i = 2; i < 21; i++) value = value * 10 + (mark[i] - '0');
      r->seen++;
      if (value >= oldest) {
        delivered++;
        if (delay_count < delay_room) delays[delay_count++] = (now - value) / 1e3;
      }
      at = mark + 22;
    } else {
      at = mark + 1;
    }
  }
  r->kept = 0;
}

static char pub_request[512];
static int pub_fd;
static long published;

static void publish(const char *path, int port) {
  int length = snprintf(pub_request, sizeof pub_request,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: text/plain\r\nContent-Length: "
                        "48\r\n\r\n@T%019lld@%-26ld", path, port, (long long)now_ns(), published++);
  for (int at = 0; at < length;) {
    ssize_t sent = send(pub_fd, pub_request + at, length - at, MSG_NOSIGNAL);
    if (sent > 0) at += sent;
    else if (errno != EAGAIN) die("publish");
  }
}

int main(int argc, char **argv) {
  if (argc != 10) {
    fprintf(stderr, "usage: fanout SUB_PORT SUB_PATH PUB_PORT PUB_PATH N TOKENS MODE PID LIMIT\n");
    return 2;
  }
  raise_file_limit();
  signal(SIGPIPE, SIG_IGN);
  int sub = atoi(argv[1]), pub = atoi(argv[3]), n = atoi(argv[5]), pid = atoi(argv[8]);
  long tokens = atol(argv[6]), window = 0, rate = 0, idle = 0;
  if (sscanf(argv[7], "window=%ld", &window) != 1 && sscanf(argv[7], "rate=%ld", &rate) != 1 &&
      sscanf(argv[7], "idle=%ld", &idle) != 1) return 2;
  int64_t limit = atoll(argv[9]) * 1000000000LL;
  static char buffer[64 + (1 << 16)];
  Reader *readers = calloc(n, sizeof *readers);
  delay_room = n * tokens < 8000000 ? n * tokens + 1 : 8000000;
  delays = malloc(sizeof(double) * delay_room);
  int poller = epoll_create1(0);
  long rss = rss_kb(pid);
  int64_t cpu_open = cpu_of(pid);
  for (int i = 0; i < n; i++) {
    char request[512];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n\r\n", argv[2], sub);
    readers[i].fd = dial(sub);
    if (send(readers[i].fd, request, length, MSG_NOSIGNAL) != length) die("send");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &readers[i]};
    epoll_ctl(poller, EPOLL_CTL_ADD, readers[i].fd, &event);
    // Wait for the head, so that a reader is subscribed before the next one dials.
    for (int tries = 0; tries < 5000; tries++) {
      ssize_t got = recv(readers[i].fd, buffer, sizeof buffer, 0);
      if (got > 0) break;
      if (got == 0) { fprintf(stderr, "reader %d was refused\n", i); return 1; }
      struct timespec pause = {0, 100000};
      nanosleep(&pause, NULL);
    }
  }
  double connect_us = (cpu_of(pid) - cpu_open) / 1e3 / n;
  if (idle) {
    struct timespec pause = {idle, 0};
    nanosleep(&pause, NULL);
    printf("{\"readers\":%d,\"rss_kb_per_reader\":%.2f,\"cpu_us_per_connect\":%.1f}\n", n,
           (rss_kb(pid) - rss) / (double)n, connect_us);
    return 0;
  }
  pub_fd = dial(pub);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[512];
  epoll_ctl(poller, EPOLL_CTL_ADD, pub_fd, &event);
  long warmup = tokens / 10 + 1, total = tokens + warmup, all = 0;
  int64_t start = now_ns(), begun = start, cpu = 0, last = start, next = start;
  oldest = INT64_MAX;
  bool measuring = false;
  while (all < total * n && now_ns() - start < limit) {
    int64_t now = now_ns();
    if (!measuring && all >= warmup * n) {
      measuring = true;
      oldest = begun = now;
      cpu = cpu_of(pid);
    }
    if (window) {
      while (published < total && (published - all / n) < window && (measuring || published < warmup)) publish(argv[4], pub);
    } else {
      for (; published < total && next <= now && (measuring || published < warmup); next += 1000000000 / rate) publish(argv[4], pub);
      if (next < now) next = now;
    }
    int wait = rate && published < total ? 1 : 50;
    int count = epoll_wait(poller, events, 512, window ? 50 : wait);
    for (int i = 0; i < count; i++) {
      Reader *r = events[i].data.ptr;
      if (!r) {
        if (recv(pub_fd, buffer, sizeof buffer, 0) == 0) { fprintf(stderr, "publisher was cut\n"); return 1; }
        continue;
      }
      int kept = r->kept;
      memcpy(buffer, r->keep, kept);
      ssize_t got = recv(r->fd, buffer + kept, sizeof buffer - 64, 0);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) { fprintf(stderr, "reader was cut\n"); return 1; }
      long seen = r->seen;
      last = now_ns();
      scan(r, buffer, kept + got, last);
      all += r->seen - seen;
    }
  }
  double seconds = (last - begun) / 1e9, used = (cpu_of(pid) - cpu) / 1e3;
  qsort(delays, delay_count, sizeof(double), by_value);
  printf("{\"readers\":%d,\"tokens\":%ld,\"deliveries\":%ld,\"missing\":%ld,\"deliveries_per_s\":%.0f,"
         "\"cpu_us_per_delivery\":%.3f,\"delay_ms_p50\":%.2f,\"delay_ms_p99\":%.2f,\"rss_mb\":%.1f}\n",
         n, tokens, delivered, total * n - all, delivered / seconds, delivered ? used / delivered : -1,
         percentile(delays, delay_count, .5) / 1e3, percentile(delays, delay_count, .99) / 1e3, rss_kb(pid) / 1024.0);
  return 0;
}
