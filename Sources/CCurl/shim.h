// libcurl as a table of functions that is filled by dlopen: nothing here is linked, so a program that makes no request
// does not pay the 8 ms that loading libcurl and its forty libraries costs. The inline functions give Swift the
// variadic setters, which it cannot call.
#ifndef WEIR_CURL_SHIM_H
#define WEIR_CURL_SHIM_H

#include <curl/curl.h>
#include <dlfcn.h>
#include <stddef.h>

typedef struct {
  CURLcode (*global_init)(long);
  CURL *(*easy_init)(void);
  void (*easy_cleanup)(CURL *);
  CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
  CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
  CURLcode (*easy_pause)(CURL *, int);
  const char *(*easy_strerror)(CURLcode);
  CURLM *(*multi_init)(void);
  CURLMcode (*multi_cleanup)(CURLM *);
  CURLMcode (*multi_setopt)(CURLM *, CURLMoption, ...);
  CURLMcode (*multi_add_handle)(CURLM *, CURL *);
  CURLMcode (*multi_remove_handle)(CURLM *, CURL *);
  CURLMcode (*multi_socket_action)(CURLM *, curl_socket_t, int, int *);
  CURLMsg *(*multi_info_read)(CURLM *, int *);
  struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
  void (*slist_free_all)(struct curl_slist *);
  CURLU *(*url)(void);
  void (*url_cleanup)(CURLU *);
  CURLUcode (*url_set)(CURLU *, CURLUPart, const char *, unsigned int);
  CURLUcode (*url_get)(const CURLU *, CURLUPart, char **, unsigned int);
  void (*free)(void *);
} weir_curl;

// Returns NULL, or the name of the function that the library lacks.
static inline const char *weir_curl_load(void *library, weir_curl *curl) {
#define WEIR_LOAD(field, name) \
  if (!(*(void **)&curl->field = dlsym(library, name))) return name;
  WEIR_LOAD(global_init, "curl_global_init")
  WEIR_LOAD(easy_init, "curl_easy_init")
  WEIR_LOAD(easy_cleanup, "curl_easy_cleanup")
  WEIR_LOAD(easy_setopt, "curl_easy_setopt")
  WEIR_LOAD(easy_getinfo, "curl_easy_getinfo")
  WEIR_LOAD(easy_pause, "curl_easy_pause")
  WEIR_LOAD(easy_strerror, "curl_easy_strerror")
  WEIR_LOAD(multi_init, "curl_multi_init")
  WEIR_LOAD(multi_cleanup, "curl_multi_cleanup")
  WEIR_LOAD(multi_setopt, "curl_multi_setopt")
  WEIR_LOAD(multi_add_handle, "curl_multi_add_handle")
  WEIR_LOAD(multi_remove_handle, "curl_multi_remove_handle")
  WEIR_LOAD(multi_socket_action, "curl_multi_socket_action")
  WEIR_LOAD(multi_info_read, "curl_multi_info_read")
  WEIR_LOAD(slist_append, "curl_slist_append")
  WEIR_LOAD(slist_free_all, "curl_slist_free_all")
  WEIR_LOAD(url, "curl_url")
  WEIR_LOAD(url_cleanup, "curl_url_cleanup")
  WEIR_LOAD(url_set, "curl_url_set")
  WEIR_LOAD(url_get, "curl_url_get")
  WEIR_LOAD(free, "curl_free")
#undef WEIR_LOAD
  return NULL;
}

typedef size_t (*weir_curl_data)(char *, size_t, size_t, void *);
typedef curl_socket_t (*weir_curl_open)(void *, curlsocktype, struct curl_sockaddr *);
typedef int (*weir_curl_close)(void *, curl_socket_t);
typedef int (*weir_curl_socket)(CURL *, curl_socket_t, int, void *, void *);
typedef int (*weir_curl_timer)(CURLM *, long, void *);

static inline CURLcode weir_easy_long(const weir_curl *c, CURL *e, CURLoption o, long v) {
  return c->easy_setopt(e, o, v);
}
static inline CURLcode weir_easy_size(const weir_curl *c, CURL *e, CURLoption o, curl_off_t v) {
  return c->easy_setopt(e, o, v);
}
static inline CURLcode weir_easy_pointer(const weir_curl *c, CURL *e, CURLoption o, const void *v) {
  return c->easy_setopt(e, o, v);
}
static inline CURLcode weir_easy_data(const weir_curl *c, CURL *e, CURLoption o, weir_curl_data f) {
  return c->easy_setopt(e, o, f);
}
static inline CURLcode weir_easy_close(const weir_curl *c, CURL *e, weir_curl_close f) {
  return c->easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, f);
}
static inline CURLcode weir_easy_open(const weir_curl *c, CURL *e, weir_curl_open f) {
  return c->easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, f);
}
static inline long weir_easy_info(const weir_curl *c, CURL *e, CURLINFO i) {
  long v = 0;
  c->easy_getinfo(e, i, &v);
  return v;
}
static inline CURLMcode weir_multi_long(const weir_curl *c, CURLM *m, CURLMoption o, long v) {
  return c->multi_setopt(m, o, v);
}
static inline CURLMcode weir_multi_pointer(const weir_curl *c, CURLM *m, CURLMoption o, void *v) {
  return c->multi_setopt(m, o, v);
}
static inline CURLMcode weir_multi_socket(const weir_curl *c, CURLM *m, weir_curl_socket f) {
  return c->multi_setopt(m, CURLMOPT_SOCKETFUNCTION, f);
}
static inline CURLMcode weir_multi_timer(const weir_curl *c, CURLM *m, weir_curl_timer f) {
  return c->multi_setopt(m, CURLMOPT_TIMERFUNCTION, f);
}
static inline CURLcode weir_message_result(const CURLMsg *m) { return m->data.result; }

enum { WEIR_WRITE_PAUSE = CURL_WRITEFUNC_PAUSE };

#endif
