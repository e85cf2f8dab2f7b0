// Arguments from JavaScript, checked: a wrong type is a TypeError, a number out of range a RangeError.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>

constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

// The bytes of a Uint8Array (a Buffer is one). Valid while the array is alive and not detached.
struct Bytes {
  uint8_t* data;
  size_t length;
};

int64_t integerArgument(const Napi::CallbackInfo& info, size_t index, const char* name, int64_t min, int64_t max);
int64_t integerValue(Napi::Value value, const char* name, int64_t min, int64_t max);
int fdArgument(const Napi::CallbackInfo& info, size_t index);
std::string stringArgument(const Napi::CallbackInfo& info, size_t index, const char* name);
Napi::Function functionArgument(const Napi::CallbackInfo& info, size_t index, const char* name);
Bytes bytesArgument(const Napi::CallbackInfo& info, size_t index, const char* name);
Bytes bytesOf(Napi::Value value, const char* name);
// Milliseconds, 1 to an hour.
int64_t timeoutArgument(const Napi::CallbackInfo& info, size_t index);
