#include "CLinuxLaunch.h"

static int count;
static char **words;

/* glibc passes main's arguments to constructors, in static executables too. */
__attribute__((constructor)) static void keep_arguments(int argc, char **argv)
{
  count = argc;
  words = argv;
}

char **clinux_arguments(int *argc)
{
  *argc = count;
  return words;
}
