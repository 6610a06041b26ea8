// OpenSSL 3 as a table of functions that is filled by dlopen when TLS is first used: a program that never uses it does
// not pay the 4 ms of loading it. Macros of its headers (controls) are spelled out as inline functions.
#ifndef WEIR_OPENSSL_SHIM_H
#define WEIR_OPENSSL_SHIM_H

#include <dlfcn.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

typedef int (*weir_alpn_select)(
    SSL *, const unsigned char **, unsigned char *, const unsigned char *, unsigned int, void *);
typedef int (*weir_passphrase)(char *, int, int, void *);

typedef struct {
  const SSL_METHOD *(*TLS_client_method)(void);
  const SSL_METHOD *(*TLS_server_method)(void);
  SSL_CTX *(*SSL_CTX_new)(const SSL_METHOD *);
  void (*SSL_CTX_free)(SSL_CTX *);
  long (*SSL_CTX_ctrl)(SSL_CTX *, int, long, void *);
  uint64_t (*SSL_CTX_set_options)(SSL_CTX *, uint64_t);
  int (*SSL_CTX_use_certificate_chain_file)(SSL_CTX *, const char *);
  int (*SSL_CTX_use_PrivateKey_file)(SSL_CTX *, const char *, int);
  int (*SSL_CTX_check_private_key)(const SSL_CTX *);
  int (*SSL_CTX_set_default_verify_paths)(SSL_CTX *);
  int (*SSL_CTX_load_verify_file)(SSL_CTX *, const char *);
  void (*SSL_CTX_set_verify)(SSL_CTX *, int, SSL_verify_cb);
  int (*SSL_CTX_set_alpn_protos)(SSL_CTX *, const unsigned char *, unsigned int);
  void (*SSL_CTX_set_alpn_select_cb)(SSL_CTX *, weir_alpn_select, void *);
  void (*SSL_CTX_set_default_passwd_cb)(SSL_CTX *, weir_passphrase);
  SSL *(*SSL_new)(SSL_CTX *);
  void (*SSL_free)(SSL *);
  void (*SSL_set_bio)(SSL *, BIO *, BIO *);
  void (*SSL_set_connect_state)(SSL *);
  void (*SSL_set_accept_state)(SSL *);
  long (*SSL_ctrl)(SSL *, int, long, void *);
  int (*SSL_set1_host)(SSL *, const char *);
  void (*SSL_set_hostflags)(SSL *, unsigned int);
  X509_VERIFY_PARAM *(*SSL_get0_param)(SSL *);
  int (*X509_VERIFY_PARAM_set1_ip_asc)(X509_VERIFY_PARAM *, const char *);
  int (*SSL_do_handshake)(SSL *);
  int (*SSL_read)(SSL *, void *, int);
  int (*SSL_write)(SSL *, const void *, int);
  int (*SSL_shutdown)(SSL *);
  int (*SSL_get_error)(const SSL *, int);
  long (*SSL_get_verify_result)(const SSL *);
  const char *(*X509_verify_cert_error_string)(long);
  BIO *(*BIO_new)(const BIO_METHOD *);
  const BIO_METHOD *(*BIO_s_mem)(void);
  int (*BIO_free)(BIO *);
  int (*BIO_read)(BIO *, void *, int);
  int (*BIO_write)(BIO *, const void *, int);
  size_t (*BIO_ctrl_pending)(BIO *);
  EVP_PKEY *(*EVP_PKEY_new_raw_private_key)(int, ENGINE *, const unsigned char *, size_t);
  int (*EVP_PKEY_get_raw_public_key)(const EVP_PKEY *, unsigned char *, size_t *);
  void (*EVP_PKEY_free)(EVP_PKEY *);
  EVP_MD_CTX *(*EVP_MD_CTX_new)(void);
  void (*EVP_MD_CTX_free)(EVP_MD_CTX *);
  int (*EVP_DigestSignInit)(EVP_MD_CTX *, EVP_PKEY_CTX **, const EVP_MD *, ENGINE *, EVP_PKEY *);
  int (*EVP_DigestSign)(EVP_MD_CTX *, unsigned char *, size_t *, const unsigned char *, size_t);
  unsigned long (*ERR_get_error)(void);
  void (*ERR_clear_error)(void);
  const char *(*ERR_reason_error_string)(unsigned long);
} weir_openssl;

// Returns NULL, or the name of the function that the library lacks.
static inline const char *weir_openssl_load(void *library, weir_openssl *table) {
#define WEIR_LOAD(name) \
  if (!(*(void **)&table->name = dlsym(library, #name))) return #name;
  WEIR_LOAD(TLS_client_method)
  WEIR_LOAD(TLS_server_method)
  WEIR_LOAD(SSL_CTX_new)
  WEIR_LOAD(SSL_CTX_free)
  WEIR_LOAD(SSL_CTX_ctrl)
  WEIR_LOAD(SSL_CTX_set_options)
  WEIR_LOAD(SSL_CTX_use_certificate_chain_file)
  WEIR_LOAD(SSL_CTX_use_PrivateKey_file)
  WEIR_LOAD(SSL_CTX_check_private_key)
  WEIR_LOAD(SSL_CTX_set_default_verify_paths)
  WEIR_LOAD(SSL_CTX_load_verify_file)
  WEIR_LOAD(SSL_CTX_set_verify)
  WEIR_LOAD(SSL_CTX_set_alpn_protos)
  WEIR_LOAD(SSL_CTX_set_alpn_select_cb)
  WEIR_LOAD(SSL_CTX_set_default_passwd_cb)
  WEIR_LOAD(SSL_new)
  WEIR_LOAD(SSL_free)
  WEIR_LOAD(SSL_set_bio)
  WEIR_LOAD(SSL_set_connect_state)
  WEIR_LOAD(SSL_set_accept_state)
  WEIR_LOAD(SSL_ctrl)
  WEIR_LOAD(SSL_set1_host)
  WEIR_LOAD(SSL_set_hostflags)
  WEIR_LOAD(SSL_get0_param)
  WEIR_LOAD(X509_VERIFY_PARAM_set1_ip_asc)
  WEIR_LOAD(SSL_do_handshake)
  WEIR_LOAD(SSL_read)
  WEIR_LOAD(SSL_write)
  WEIR_LOAD(SSL_shutdown)
  WEIR_LOAD(SSL_get_error)
  WEIR_LOAD(SSL_get_verify_result)
  WEIR_LOAD(X509_verify_cert_error_string)
  WEIR_LOAD(BIO_new)
  WEIR_LOAD(BIO_s_mem)
  WEIR_LOAD(BIO_free)
  WEIR_LOAD(BIO_read)
  WEIR_LOAD(BIO_write)
  WEIR_LOAD(BIO_ctrl_pending)
  WEIR_LOAD(EVP_PKEY_new_raw_private_key)
  WEIR_LOAD(EVP_PKEY_get_raw_public_key)
  WEIR_LOAD(EVP_PKEY_free)
  WEIR_LOAD(EVP_MD_CTX_new)
  WEIR_LOAD(EVP_MD_CTX_free)
  WEIR_LOAD(EVP_DigestSignInit)
  WEIR_LOAD(EVP_DigestSign)
  WEIR_LOAD(ERR_get_error)
  WEIR_LOAD(ERR_clear_error)
  WEIR_LOAD(ERR_reason_error_string)
#undef WEIR_LOAD
  return NULL;
}

// TLS 1.2 or newer, without renegotiation (a peer's way to make us compute); writes may be partial and retried from another place; idle connections keep no buffers.
static inline void weir_ssl_configure(const weir_openssl *o, SSL_CTX *context) {
  o->SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
  o->SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  o->SSL_CTX_ctrl(
      context, SSL_CTRL_MODE,
      SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS, NULL);
}

static inline void weir_ssl_announce_host(const weir_openssl *o, SSL *ssl, const char *name) {
  o->SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (void *)name);
}

enum { WEIR_PEM = SSL_FILETYPE_PEM, WEIR_ED25519 = EVP_PKEY_ED25519 };

#endif
