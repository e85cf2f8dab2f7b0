// mount(2) and umount2(2) of FUSE file systems and bind mounts.
#pragma once

#include <napi.h>

void exportMount(Napi::Env env, Napi::Object exports);
