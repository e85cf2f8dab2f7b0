// A thread that waits in a trapped call: its memory, its view of files, its rights.
#pragma once

#include <sys/types.h>

#include <climits>
#include <cstddef>
#include <cstdint>

// Room for a path of a task, and what is put before it.
constexpr size_t kPathRoom = PATH_MAX + 64;

class Task {
 public:
  explicit Task(pid_t tid) : tid_(tid) {}

  pid_t tid() const { return tid_; }

  // The string at `address`. False when it can't be read, or is no path (ENAMETOOLONG).
  bool readString(uint64_t address, char* text, size_t size) const;
  bool write(uint64_t address, const void* bytes, size_t length) const;

  // What the task means by (directory, path), as this process reaches it: relative to /proc, which is the working directory here. An empty path
  // means the descriptor itself. False where it gets too long.
  bool place(int directory, const char* path, char* text, size_t size) const;

 private:
  pid_t tid_;
};

// The thread's root is that of a task for as long as this lives: absolute paths, links and `..` mean what they mean there.
class RootOf {
 public:
  explicit RootOf(const Task& task);
  ~RootOf();
  RootOf(const RootOf&) = delete;
  RootOf& operator=(const RootOf&) = delete;

  // False: where the task is can't be told.
  bool entered() const { return entered_; }

 private:
  bool entered_ = false;
  bool changed_ = false;
};

// The thread looks at files with a task's user and groups for as long as this lives: what the task may not search, is not found for it.
class RightsOf {
 public:
  explicit RightsOf(const Task& task);
  ~RightsOf();
  RightsOf(const RightsOf&) = delete;
  RightsOf& operator=(const RightsOf&) = delete;

  bool taken() const { return taken_; }

 private:
  bool taken_ = false;
  bool changed_ = false;
};

// Once in the process, and in each thread that looks at files of tasks. False, with errno.
bool prepareViews();
bool prepareThread();
