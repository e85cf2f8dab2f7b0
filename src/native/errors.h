// NativeError: what every failure becomes in JavaScript.
#pragma once

#include <napi.h>

// Error with errno (positive), code (`EPERM`) and syscall, as index.ts declares.
Napi::Error systemError(Napi::Env env, int error, const char* call);

// Throws it.
[[noreturn]] void fail(Napi::Env env, int error, const char* call);

// The result of a system call that is -1 on failure, or throws errno.
int checked(Napi::Env env, int result, const char* call);
