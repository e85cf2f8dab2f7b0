// JavaScript objects with native state, that only the addon can make.
#pragma once

#include <napi.h>

#include <utility>
#include <vector>

#include "environment.h"

// T has: kName, kTag, properties(), init(env, …).
template <class T>
class Wrap : public Napi::ObjectWrap<T> {
 public:
  using PropertyDescriptor = Napi::ClassPropertyDescriptor<T>;

  explicit Wrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<T>(info) {
    if (!creating_) throw Napi::TypeError::New(info.Env(), "Illegal constructor");
    info.This().As<Napi::Object>().TypeTag(&T::kTag);
  }

  static void define(Napi::Env env) {
    Napi::Function constructor = Napi::ObjectWrap<T>::DefineClass(env, T::kName, T::properties());
    Environment::of(env).constructorOf(T::kName) = Napi::Persistent(constructor);
  }

  template <class... Arguments>
  static Napi::Object create(Napi::Env env, Arguments&&... arguments) {
    creating_ = true;
    Napi::Object object;
    try {
      object = Environment::of(env).constructorOf(T::kName).New({});
    } catch (...) {
      creating_ = false;
      throw;
    }
    creating_ = false;
    T::Unwrap(object)->init(env, std::forward<Arguments>(arguments)...);
    return object;
  }

  static bool is(Napi::Value value) {
    return value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&T::kTag);
  }

  static T* from(Napi::Value value, const char* name) {
    if (!is(value)) throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a " + T::kName);
    return T::Unwrap(value.As<Napi::Object>());
  }

 private:
  static inline thread_local bool creating_ = false;
};
