// Broadcasting kernel events (lib/kobject_uevent.c) in network namespaces of others.
#pragma once

#include <napi.h>

void exportNetlink(Napi::Env env, Napi::Object exports);
