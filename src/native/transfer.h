// transfer and transferNow: copies for DMA.
#pragma once

#include <napi.h>

void exportTransfer(Napi::Env env, Napi::Object exports);
