/*
 * What Node and Debian's libgcc_s ask for and the root made by make-musl-root.sh would not have.
 */

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Of glibc. "Not found" sends libgcc_s to dl_iterate_phdr, which musl has. */
int _dl_find_object(void* address, void* result) {
  (void)address;
  (void)result;
  return -1;
}

/* Of libgcc; only programs that ask for features of the processor call it. */
#ifdef __x86_64__
unsigned int __cpu_model[4];
int __cpu_indicator_init(void) { return 0; }
#endif

/*
 * std::string::_M_replace_cold, which came with the C++ library of gcc 13: replaces `old_length` bytes
 * at `place`, which `rest` bytes follow, by bytes that may lie in the same string.
 */
void _ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE15_M_replace_coldEPcmPKcmm(
    void* string, char* place, size_t old_length, const char* text, size_t length, size_t rest) {
  (void)string;
  char* copy = malloc(length + 1);
  if (copy == NULL) abort();
  memcpy(copy, text, length);
  memmove(place + length, place + old_length, rest);
  memcpy(place, copy, length);
  free(copy);
}
