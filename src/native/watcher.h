// PageWatcher: the JavaScript face of a WatchedPage.
#pragma once

#include <napi.h>

void exportWatcher(Napi::Env env, Napi::Object exports);
