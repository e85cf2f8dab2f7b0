// eventfdSignal and eventfdListen.
#pragma once

#include <napi.h>

void exportEventfd(Napi::Env env, Napi::Object exports);
