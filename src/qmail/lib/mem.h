/*
 * Memory that is always there.
 *
 * No function of the suite returns "no memory": when the system has none left,
 * mem_exhausted is called. It either ends the process with the code its protocol has for
 * that, or waits and returns, upon which the allocation is tried again (a daemon that must
 * not lose its place in the queue). Sizes come from bounded inputs; a request above
 * MEM_LIMIT counts as exhausted memory too, and for that the handler must not return: the
 * process is ended after it.
 */
#ifndef LIB_MEM_H
#define LIB_MEM_H

#include <stddef.h>

#define MEM_LIMIT ((size_t)1 << 30)

/* The default writes one line to descriptor 2 and exits 111. */
extern void (*mem_exhausted)(void);

void *mem_alloc(size_t size) __attribute__((returns_nonnull, malloc));
/* Room for count members; the product is checked. The memory is zeroed. */
void *mem_array(size_t count, size_t size) __attribute__((returns_nonnull));
/* Like realloc; the old block is still valid only through the returned pointer. */
void *mem_resize(void *old, size_t count, size_t size) __attribute__((returns_nonnull));

#endif
