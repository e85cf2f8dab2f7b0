// FuseChannel: /dev/fuse on the loop.
#pragma once

#include <napi.h>

void exportChannel(Napi::Env env, Napi::Object exports);
