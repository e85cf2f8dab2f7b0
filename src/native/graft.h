// graftBegin: the JavaScript side of a graft helper.
#pragma once

#include <napi.h>

void exportGraft(Napi::Env env, Napi::Object exports);
