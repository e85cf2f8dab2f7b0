#include "arguments.h"

#include <climits>
#include <cmath>

int64_t integerValue(Napi::Value value, const char* name, int64_t min, int64_t max) {
  if (!value.IsNumber()) throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a number");
  double number = value.As<Napi::Number>().DoubleValue();
  // The bounds are at most 2^53, so the comparison in doubles is exact; NaN fails it.
  if (!(number >= static_cast<double>(min) && number <= static_cast<double>(max)) || number != std::floor(number)) {
    throw Napi::RangeError::New(value.Env(), std::string(name) + " is out of range: " + std::to_string(number));
  }
  return static_cast<int64_t>(number);
}

int64_t integerArgument(const Napi::CallbackInfo& info, size_t index, const char* name, int64_t min, int64_t max) {
  return integerValue(info[index], name, min, max);
}

int fdArgument(const Napi::CallbackInfo& info, size_t index) {
  // -1 is let through: the kernel answers EBADF, which is what the caller wants to hear.
  return static_cast<int>(integerArgument(info, index, "fd", -1, INT_MAX));
}

std::string stringArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsString()) throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a string");
  std::string text = info[index].As<Napi::String>().Utf8Value();
  if (text.find('\0') != std::string::npos) {
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must not contain a null byte");
  }
  return text;
}

Napi::Function functionArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsFunction()) throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a function");
  return info[index].As<Napi::Function>();
}

Bytes bytesOf(Napi::Value value, const char* name) {
  napi_env env = value.Env();
  bool typed = false;
  napi_is_typedarray(env, value, &typed);
  napi_typedarray_type type = napi_float64_array;
  size_t length = 0;
  void* data = nullptr;
  if (typed) napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr);
  if (type != napi_uint8_array) throw Napi::TypeError::New(env, std::string(name) + " must be a Uint8Array");
  return {static_cast<uint8_t*>(data), length};
}

Bytes bytesArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  return bytesOf(info[index], name);
}

int64_t timeoutArgument(const Napi::CallbackInfo& info, size_t index) {
  return integerArgument(info, index, "timeoutMs", 1, 3600 * 1000);
}
