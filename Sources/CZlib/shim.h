// zlib for permessage-deflate (RFC 7692). Linked, not loaded later: libz is one small library without dependencies
// (0.2 ms at start). The inline functions give Swift the two initialisers, which are macros.
#ifndef WEIR_ZLIB_SHIM_H
#define WEIR_ZLIB_SHIM_H

#include <zlib.h>

// A negative number of window bits is zlib's way to say: raw deflate, no header and no checksum.
static inline int weir_inflate_start(z_stream *stream, int windowBits) { return inflateInit2(stream, -windowBits); }
// Level 1: of 64 KB of chat it makes 11 KB in 0.24 ms, the default (6) 7 KB in 1.25 ms. A relay deflates for every reader.
static inline int weir_deflate_start(z_stream *stream, int windowBits) {
  return deflateInit2(stream, Z_BEST_SPEED, Z_DEFLATED, -windowBits, 8, Z_DEFAULT_STRATEGY);
}

#endif
