// Memory files and windows onto them.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "counts.h"

// A shared mapping, unmapped when the last holder lets go.
class Mapping {
 public:
  // Null, and errno, on failure.
  static std::shared_ptr<Mapping> create(int fd, uint64_t offset, size_t length, int protection);
  ~Mapping();
  // The same addresses show other pages from now on, also to who holds only a pointer. False, and errno, on failure.
  bool remap(int fd, uint64_t offset, int protection);
  uint8_t* const data;
  const size_t length;

 private:
  Mapping(uint8_t* data, size_t length) : data(data), length(length) {}
  Counted counted_{counts.mappings};
};

// The Mapping behind a MappedMemory object; throws TypeError for anything else, EFAULT when it is unmapped.
std::shared_ptr<Mapping> mappingOf(Napi::Value memory);

void exportMapping(Napi::Env env, Napi::Object exports);
