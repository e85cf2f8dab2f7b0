// PinHandle: the JavaScript face of Pin.
#pragma once

#include <napi.h>

#include <memory>

#include "copy.h"

// Promises a PinHandle, held on a thread.
Napi::Value pinElsewhere(Napi::Env env, std::shared_ptr<Process> process, uint64_t address, uint64_t length,
                         bool write, int64_t timeoutMs);

// A PinHandle, held at once; undefined when it needs a thread. Throws.
Napi::Value pinNow(Napi::Env env, const std::shared_ptr<Process>& process, uint64_t address, uint64_t length, bool write);

// The end of a copy that a PinHandle or a Uint8Array stands for. A released pin is EFAULT.
Place placeOf(Napi::Value value, const char* name);

void exportPin(Napi::Env env, Napi::Object exports);
