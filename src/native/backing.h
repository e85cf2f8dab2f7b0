// Files that mmap of a FUSE file is passed through to (fs/fuse/backing.c).
#pragma once

#include <napi.h>

void exportBacking(Napi::Env env, Napi::Object exports);

// The descriptor is about to be closed: the kernel drops the backings with the connection.
void forgetBackings(int fuseFd);

int countBackings();
