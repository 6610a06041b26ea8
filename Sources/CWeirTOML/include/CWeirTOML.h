// TOML text in, JSON text out: the one door through which toml++ is used.
// Nothing C++ (types, exceptions, allocator) crosses it.
#ifndef CWEIRTOML_H
#define CWEIRTOML_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Largest input in bytes: configuration is written by hand; anything near this is the wrong file.
#define WEIR_TOML_BYTE_LIMIT (1 << 20)

struct weir_toml_result {
  // JSON text, or the error's sentence. NUL-terminated, `length` bytes without the NUL. NULL only when out of memory.
  char *text;
  size_t length;
  // 0 = `text` is JSON. Otherwise where the error is, from 1 (columns in characters).
  uint32_t error_line;
  uint32_t error_column;
};

// Never throws, never exits. Dates and times become strings; numbers that JSON lacks (inf, nan) are an error.
struct weir_toml_result weir_toml_to_json(const char *text, size_t length);

void weir_toml_free(struct weir_toml_result *result);

#ifdef __cplusplus
}
#endif

#endif
