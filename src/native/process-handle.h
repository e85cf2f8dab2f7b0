// ProcessHandle: the JavaScript face of Process.
#pragma once

#include <napi.h>

void exportProcess(Napi::Env env, Napi::Object exports);
