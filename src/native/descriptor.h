// Copies of descriptors for threads.
#pragma once

#include <napi.h>

#include <memory>

// A copy of `fd`, closed on a thread with the last holder: after a timeout the caller closes its own while the thread may
// not even have begun, and closing somebody's file may wait for a server that is this process. Throws.
std::shared_ptr<int> ownedCopy(Napi::Env env, int fd);
