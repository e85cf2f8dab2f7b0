// One child process of ours and its job control: what libuv's children lack (stops, real-time signals, signals' senders).
#pragma once

#include <napi.h>

void exportChild(Napi::Env env, Napi::Object exports);
