// Signals that come to this process, with who sent them.
#pragma once

#include <napi.h>

void exportSignals(Napi::Env env, Napi::Object exports);
