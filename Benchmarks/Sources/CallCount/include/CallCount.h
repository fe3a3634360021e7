#pragma once
#include <stdint.h>

/// How often malloc and its relatives were called in this process.
uint64_t callcount_allocations(void);
/// How often swift_retain was called.
uint64_t callcount_retains(void);
