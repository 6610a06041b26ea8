// An OpenAI-compatible streaming server that costs next to nothing: the model side of the relay benchmark.
//
//   upstream PORT RATE TOKENS
//
// Every POST is answered with TOKENS chat.completion.chunk events, RATE a second for each stream (0: as fast as the
// socket takes them). Each token carries the time it was sent, `@T<nanoseconds>@`, so the client can tell the delay.
// A request that says `warm-up` gets three tokens: a relay's first requests load libraries, which is not what is measured.
#include "common.h"

enum { LINE = 16384, BATCH = 64 };

typedef struct Stream {
  int fd;
  long left;              // tokens to send; < 0: idle, reading a request
  int64_t due, last;      // next send; last stamp, so that stamps of one stream differ
  char in[LINE];
  int have;
  char *out;
  int out_at, out_end;
  bool queued, closing;
  struct Stream *next;
} Stream;

static int poller;
static long tokens;
static int64_t interval;
static Stream *head, *tail;  // paced streams, by due time (one interval for all: a queue is a heap)

static void watch(Stream *s, uint32_t events, int op) {
  struct epoll_event event = {.events = events, .data.ptr = s};
  epoll_ctl(poller, op, s->fd, &event);
}

static void drop(Stream *s) {
  close(s->fd);
  s->fd = -1;
  s->closing = true;
  if (!s->queued) {
    free(s->out);
    free(s);
  }
}

static void put(Stream *s, const char *text, int length) {
  memcpy(s->out + s->out_end, text, length);
  s->out_end += length;
}

static void put_event(Stream *s, const char *data) {
  char chunk[512];
  int size = snprintf(NULL, 0, "data: %s\n\n", data);
  int length = snprintf(chunk, sizeof chunk, "%x\r\ndata: %s\n\n\r\n", size, data);
  put(s, chunk, length);
}

static void put_token(Stream *s) {
  char data[400];
  int64_t stamp = now_ns();
  if (stamp <= s->last) stamp = s->last + 1;
  s->last = stamp;
  snprintf(data, sizeof data,
           "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\","
           "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"@T%019lld@ \"},\"finish_reason\":null}]}",
           (long long)stamp);
  put_event(s, data);
  if (--s->left == 0) {
    put_event(s, "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\","
                 "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}");
    put_event(s, "[DONE]");
    put(s, "0\r\n\r\n", 5);
    s->left = -1;
  }
}

static bool flush(Stream *s) {
  while (s->out_at < s->out_end) {
    ssize_t sent = send(s->fd, s->out + s->out_at, s->out_end - s->out_at, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    s->out_at += sent;
  }
  s->out_at = s->out_end = 0;
  return true;
}

static void enqueue(Stream *s) {
  s->next = NULL;
  s->queued = true;
  if (tail) tail->next = s; else head = s;
  tail = s;
}

static void pump(Stream *s) {  // saturated: fill, send, until the socket is full or the tokens are out
  for (;;) {
    if (!flush(s)) { drop(s); return; }
    if (s->out_end > 0) { watch(s, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD); return; }
    if (s->left <= 0) { watch(s, EPOLLIN, EPOLL_CTL_MOD); return; }
    for (int i = 0; i < BATCH && s->left > 0; i++) put_token(s);
  }
}

static void begin(Stream *s, bool is_warm_up) {
  static const char response[] =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
  if (!s->out) s->out = malloc((BATCH + 4) * 512);
  s->left = is_warm_up && tokens > 3 ? 3 : tokens;
  put(s, response, sizeof response - 1);
  if (interval == 0) { pump(s); return; }
  put_token(s);
  if (!flush(s)) { drop(s); return; }
  s->due = now_ns() + interval;
  if (s->left > 0 && !s->queued) enqueue(s);
}

static void readable(Stream *s) {
  ssize_t got = recv(s->fd, s->in + s->have, LINE - 1 - s->have, 0);
  if (got <= 0) {
    if (got < 0 && errno == EAGAIN) return;
    drop(s);
    return;
  }
  s->have += got;
  s->in[s->have] = 0;
  char *end = strstr(s->in, "\r\n\r\n");
  if (!end) return;
  char *length = strcasestr(s->in, "content-length:");
  long body = length && length < end ? strtol(length + 15, NULL, 10) : 0;
  if (s->have < (end - s->in) + 4 + body) return;
  bool is_warm_up = strstr(end, "warm-up");
  s->have = 0;
  begin(s, is_warm_up);
}

int main(int argc, char **argv) {
  if (argc != 4) { fprintf(stderr, "usage: upstream PORT RATE TOKENS\n"); return 2; }
  raise_file_limit();
  signal(SIGPIPE, SIG_IGN);
  long rate = atol(argv[2]);
  interval = rate ? 1000000000 / rate : 0;
  tokens = atol(argv[3]);
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = loopback(atoi(argv[1]));
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) die("listen");
  poller = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[512];
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int wait = -1;
    if (head) {
      int64_t left = head->due - now_ns();
      wait = left <= 0 ? 0 : (int)(left / 1000000) + (left < 1000000 ? 1 : 0);
    }
    int count = epoll_wait(poller, events, 512, wait);
    for (int i = 0; i < count; i++) {
      Stream *s = events[i].data.ptr;
      if (!s) {
        for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
          setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          Stream *made = calloc(1, sizeof *made);
          made->fd = fd;
          made->left = -1;
          watch(made, EPOLLIN, EPOLL_CTL_ADD);
        }
        continue;
      }
      if (events[i].events & (EPOLLERR | EPOLLHUP)) { drop(s); continue; }
      if (events[i].events & EPOLLOUT) {
        if (interval == 0) pump(s);
        else if (!flush(s)) { drop(s); continue; }
        continue;
      }
      if (events[i].events & EPOLLIN) readable(s);
    }
    for (int64_t now = now_ns(); head && head->due <= now;) {
      Stream *s = head;
      head = s->next;
      if (!head) tail = NULL;
      s->queued = false;
      if (s->closing) { free(s->out); free(s); continue; }
      put_token(s);
      if (!flush(s)) { drop(s); continue; }
      s->due += interval;
      if (s->left > 0) enqueue(s);
    }
  }
}
