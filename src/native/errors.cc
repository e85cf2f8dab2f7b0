#include "errors.h"

#include <cerrno>
#include <cstring>
#include <string>

Napi::Error systemError(Napi::Env env, int error, const char* call) {
  const char* name = strerrorname_np(error);
  std::string code = name ? name : std::to_string(error);
  Napi::Error result = Napi::Error::New(env, std::string(call) + ": " + code + ", " + strerror(error));
  result.Set("errno", Napi::Number::New(env, error));
  result.Set("code", Napi::String::New(env, code));
  result.Set("syscall", Napi::String::New(env, call));
  return result;
}

void fail(Napi::Env env, int error, const char* call) { throw systemError(env, error, call); }

int checked(Napi::Env env, int result, const char* call) {
  if (result < 0) fail(env, errno, call);
  return result;
}
