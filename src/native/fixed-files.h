// Files in which everybody reads the same for as long as nothing is said: their opens for reading, reads and releases are answered where
// the request is read, without a turn of JavaScript. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

class FixedFiles {
 public:
  void fix(uint64_t node, std::string content) { contents_[node] = std::move(content); }
  // Files that are open stay open; their next read is not answered here.
  void unfix(uint64_t node) { contents_.erase(node); }
  // Gives away an open file, all of whose requests are somebody else's from now on: whether it has been read; -1: it is none of ours.
  int adopt(uint64_t handle);
  size_t open() const { return open_.size(); }
  // Whether `request` was answered on `fuseFd`.
  bool answer(int fuseFd, const uint8_t* request, size_t length);

 private:
  bool openFile(int fuseFd, uint64_t unique, uint64_t node, uint32_t flags);
  bool read(int fuseFd, uint64_t unique, uint64_t node, uint64_t handle, uint64_t offset, size_t size);
  bool release(int fuseFd, uint64_t unique, uint64_t handle);

  std::unordered_map<uint64_t, std::string> contents_;  // by node
  std::unordered_map<uint64_t, bool> open_;             // by handle: has it been read?
  uint64_t lastHandle_ = uint64_t{1} << 52;             // a number in JavaScript, and none that it gives out
};
