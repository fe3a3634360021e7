// Stands before the C library's allocator and the Swift runtime's swift_retain: symbols of the executable come first.
#include "CallCount.h"
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

static uint64_t allocations, retains;

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) { allocations++; return __libc_malloc(size); }
void *calloc(size_t count, size_t size) { allocations++; return __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { allocations++; return __libc_realloc(old, size); }
void *aligned_alloc(size_t alignment, size_t size) { allocations++; return __libc_memalign(alignment, size); }
int posix_memalign(void **result, size_t alignment, size_t size) {
  allocations++;
  *result = __libc_memalign(alignment, size);
  return *result ? 0 : ENOMEM;
}

void *swift_retain(void *object) {
  static void *(*real)(void *);
  if (!real) real = (void *(*)(void *))dlsym(RTLD_NEXT, "swift_retain");
  retains++;
  return real(object);
}

uint64_t callcount_allocations(void) { return allocations; }
uint64_t callcount_retains(void) { return retains; }
