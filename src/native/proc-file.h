// Small facts from /proc, shared with the graft helper.
#pragma once

#include <sys/types.h>

// The thread-group id of `tid`, or -1.
pid_t threadGroupOf(pid_t tid);

enum class WordSize { Unknown, Bits32, Bits64 };

// Of the program `tid` runs, by its auxiliary vector. No file system of a client is touched.
WordSize wordSize(pid_t tid);
