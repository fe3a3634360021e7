/* libFuzzer's own entry, for a program that has a main of its own. https://llvm.org/docs/LibFuzzer.html */
#ifndef CFUZZER_H
#define CFUZZER_H
#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t size));
#endif
