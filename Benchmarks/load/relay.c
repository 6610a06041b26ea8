// Makes streaming requests through a relay, N at a time, and measures what arrives: tokens, delay since the model sent
// each one, time from request to first token, the relay's CPU and memory.
//
//   relay PORT PATH N REQUESTS TOKENS PID LIMIT_SECONDS BODY [HEADER...]      `%d` in BODY is the request's number
//
// One line of JSON on stdout. A stream counts as complete when all TOKENS were seen and the body ended.
#include "common.h"

typedef struct {
  int fd;
  long seen;
  int64_t sent_at, last;
  char keep[64];  // the end of the last read: a stamp may be cut anywhere
  int kept;
  // Chunked framing is taken off, since a relay may cut a token in two chunks: head, chunk size, data, line ends.
  enum { HEAD, SIZE, DATA, LINE_END, DONE } state;
  long left;
  int matched;  // of the head's end
} Conn;

// Moves the body's bytes to the front of `text`; returns how many.
static long unchunked(Conn *c, char *text, long length) {
  long out = 0;
  for (long i = 0; i < length && c->state != DONE;) {
    char byte = text[i];
    switch (c->state) {
      case HEAD:
        c->matched = byte == "\r\n\r\n"[c->matched] ? c->matched + 1 : byte == '\r';
        if (c->matched == 4) c->state = SIZE;
        i++;
        break;
      case SIZE:
        if (byte == '\n') c->state = c->left ? DATA : DONE;
        else if (byte != '\r') c->left = c->left * 16 + (byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
        i++;
        break;
      case DATA: {
        long part = c->left < length - i ? c->left : length - i;
        memmove(text + out, text + i, part);
        out += part;
        i += part;
        if ((c->left -= part) == 0) c->state = LINE_END;
        break;
      }
      case LINE_END:
        if (byte == '\n') c->state = SIZE;
        i++;
        break;
      case DONE: break;
    }
  }
  return out;
}

static long total, wanted, errors, complete;
static double *delays, *firsts;
static long delay_count, first_count, delay_room;

static void stamp(Conn *c, int64_t value, int64_t now) {
  if (value == c->last) return;  // one token may be written twice in a frame (content and delta)
  c->last = value;
  if (c->seen++ == 0) firsts[first_count++] = (now - c->sent_at) / 1e3;
  total++;
  if (delay_count < delay_room) delays[delay_count++] = (now - value) / 1e3;
}

static void scan(Conn *c, char *text, int length, int64_t now) {
  char *at = text, *end = text + length;
  while (at < end) {
    char *mark = memchr(at, '@', end - at);
    if (!mark) { c->kept = 0; return; }
    if (end - mark < 22) {
      c->kept = end - mark;
      memcpy(c->keep, mark, c->kept);
      return;
    }
    if (mark[1] == 'T' && mark[21] == '@') {
      int64_t value = 0;
      for (int i = 2; i < 21; i++) value = value * 10 + (mark[i] - '0');
      stamp(c, value, now);
      at = mark + 22;
    } else {
      at = mark + 1;
    }
  }
  c->kept = 0;
}

int main(int argc, char **argv) {
  if (argc < 9) { fprintf(stderr, "usage: relay PORT PATH N REQUESTS TOKENS PID LIMIT BODY [HEADER...]\n"); return 2; }
  raise_file_limit();
  signal(SIGPIPE, SIG_IGN);
  int port = atoi(argv[1]), at_once = atoi(argv[3]), n = atoi(argv[4]), pid = atoi(argv[6]);
  wanted = atol(argv[5]);
  int64_t limit = atoll(argv[7]) * 1000000000LL;
  delay_room = n * wanted < 4000000 ? n * wanted : 4000000;
  delays = malloc(sizeof(double) * delay_room);
  firsts = malloc(sizeof(double) * n);
  Conn *conns = calloc(n, sizeof *conns);
  int poller = epoll_create1(0);
  static char buffer[64 + (1 << 18)];
  int64_t start = now_ns(), cpu = cpu_of(pid), last_token = start;
  int open = 0, opened = 0;
  long rss = 0, before = rss_kb(pid);
  while (complete + errors < n && now_ns() - start < limit) {
    // Requests start 20 to a turn, so that opening a thousand of them is not one burst.
    for (int i = 0; i < 20 && opened < n && open < at_once; i++, opened++) {
      Conn *c = &conns[opened];
      char body[1024], request[4096];
      int size = snprintf(body, sizeof body, argv[8], opened);
      int length = snprintf(request, sizeof request,
                            "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nAccept: "
                            "text/event-stream\r\nContent-Length: %d\r\n", argv[2], port, size);
      for (int h = 9; h < argc; h++) length += snprintf(request + length, sizeof request - length, "%s\r\n", argv[h]);
      length += snprintf(request + length, sizeof request - length, "\r\n%s", body);
      c->fd = dial(port);
      c->sent_at = now_ns();
      if (send(c->fd, request, length, MSG_NOSIGNAL) != length) die("send");
      struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
      epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
      open++;
    }
    struct epoll_event events[256];
    int count = epoll_wait(poller, events, 256, opened < n && open < at_once ? 0 : 200);
    for (int i = 0; i < count; i++) {
      Conn *c = events[i].data.ptr;
      int kept = c->kept;
      memcpy(buffer, c->keep, kept);
      ssize_t got = recv(c->fd, buffer + kept, sizeof buffer - 64, 0);
      if (got < 0 && errno == EAGAIN) continue;
      bool ended = got <= 0;
      if (!ended) {
        int64_t now = now_ns();
        scan(c, buffer, kept + unchunked(c, buffer + kept, got), now);
        last_token = now;
        ended = c->state == DONE;
      }
      if (ended) {
        if (c->seen == wanted && c->state == DONE) complete++; else errors++;
        close(c->fd);
        open--;
      }
    }
    if (opened == n && !rss && total > n * wanted / 2) rss = rss_kb(pid);
  }
  double seconds = (last_token - start) / 1e9, used = (cpu_of(pid) - cpu) / 1e3;
  qsort(delays, delay_count, sizeof(double), by_value);
  qsort(firsts, first_count, sizeof(double), by_value);
  printf("{\"streams\":%d,\"requests\":%d,\"complete\":%ld,\"errors\":%ld,\"tokens\":%ld,\"seconds\":%.3f,\"tokens_per_s\":%.0f,"
         "\"cpu_us_per_token\":%.3f,\"cpu_us_per_request\":%.1f,\"first_us_p50\":%.1f,\"first_us_p99\":%.1f,\"delay_us_p50\":%.1f,"
         "\"delay_us_p99\":%.1f,\"rss_mb\":%.1f,\"rss_before_mb\":%.1f}\n",
         at_once, n, complete, n - complete, total, seconds, total / seconds, total ? used / total : -1, used / n, percentile(firsts, first_count, .5),
         percentile(firsts, first_count, .99), percentile(delays, delay_count, .5), percentile(delays, delay_count, .99),
         (rss ? rss : rss_kb(pid)) / 1024.0, before / 1024.0);
  return 0;
}
