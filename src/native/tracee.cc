#include "tracee.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "proc-file.h"

#ifndef __x86_64__
#error "grafting by ptrace knows the registers of x86-64 only"
#endif

namespace {
constexpr uint64_t kUserCode64 = 0x33;  // __USER_CS
constexpr unsigned char kSyscall[2] = {0x0f, 0x05};
constexpr int kSyscallStop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD

int errnoResult(long result) { return result < 0 ? -errno : 0; }

bool copyIn(pid_t tid, uint64_t address, void* bytes, size_t length) {
  iovec here{bytes, length}, there{reinterpret_cast<void*>(address), length};
  return process_vm_readv(tid, &here, 1, &there, 1, 0) == static_cast<ssize_t>(length);
}

bool copyOut(pid_t tid, uint64_t address, const void* bytes, size_t length) {
  iovec here{const_cast<void*>(bytes), length}, there{reinterpret_cast<void*>(address), length};
  return process_vm_writev(tid, &here, 1, &there, 1, 0) == static_cast<ssize_t>(length);
}
}  // namespace

int Tracee::seize() {
  if (tid_ <= 0) return -ESRCH;
  // A 32-bit program has other registers and another system call instruction.
  if (wordSize(tid_) == WordSize::Bits32) return -ENOEXEC;
  // No PTRACE_O_EXITKILL: the end of this program must not be the client's.
  if (ptrace(PTRACE_SEIZE, tid_, 0, PTRACE_O_TRACESYSGOOD) < 0) return -errno;
  if (ptrace(PTRACE_INTERRUPT, tid_, 0, 0) < 0) return -errno;
  return 0;
}

void Tracee::wait(bool block) {
  // A stopped thread can still be killed, which only a look without waiting finds out.
  if (state_ == State::Gone || (state_ == State::Stopped && block)) return;
  // The leader of a process vanishes without a word (ECHILD) when another thread's execve takes its place:
  // de_thread() wakes those who wait for any child, but whoever names the leader's number sleeps on, as it is
  // no longer the leader's. We have only this one.
  pid_t result;
  do {
    result = waitpid(-1, &status_, __WALL | (block ? 0 : WNOHANG));
  } while (result < 0 && errno == EINTR);
  if (result == 0) return;
  state_ = result == tid_ && WIFSTOPPED(status_) ? State::Stopped : State::Gone;
}

bool Tracee::stopped() {
  wait(true);
  return state_ == State::Stopped;
}

// The signal whose delivery this stop is about, or 0: PTRACE_EVENT_STOP (ours, or a group stop) and system
// call stops have none.
int Tracee::stopSignal() const {
  bool event = status_ >> 16 != 0;
  int signal = WSTOPSIG(status_);
  return event || signal == kSyscallStop ? 0 : signal;
}

int Tracee::openat(int fd, int flags) {
  if (!stopped()) return -ESRCH;
  if (!prepared_) {
    if (int error = prepare()) return error;
  }
  if (int error = writePath(fd)) return error;
  return run(SYS_openat, static_cast<uint64_t>(AT_FDCWD), pathAddress_, static_cast<uint64_t>(flags));
}

int Tracee::close(int fd) {
  if (!stopped() || !prepared_) return -ESRCH;
  return run(SYS_close, static_cast<uint64_t>(fd), 0, 0);
}

// One system call in the prepared thread: its result.
int Tracee::run(long number, uint64_t first, uint64_t second, uint64_t third) {
  user_regs_struct call = registers_;
  call.rip -= sizeof kSyscall;
  call.rax = static_cast<unsigned long long>(number);
  call.rdi = first;
  call.rsi = second;
  call.rdx = third;
  call.r10 = 0;
  call.orig_rax = static_cast<unsigned long long>(-1);  // no restart of the ioctl
  if (ptrace(PTRACE_SETREGS, tid_, 0, &call) < 0) return -errno;
  for (int stop = 0; stop < 2; stop++) {  // entry, exit
    if (int error = nextSyscallStop()) return error;
  }
  if (ptrace(PTRACE_GETREGS, tid_, 0, &call) < 0) return -errno;
  auto result = static_cast<int64_t>(call.rax);
  // ERESTARTSYS and its kin never leave the kernel.
  return result <= -512 ? -EINTR : static_cast<int>(result);
}

// Checks that this is the stop we want, and keeps the thread's own signals away until it goes.
int Tracee::prepare() {
  user_regs_struct registers{};
  iovec set{&registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, tid_, NT_PRSTATUS, &set) < 0) return -errno;
  if (set.iov_len != sizeof registers || registers.cs != kUserCode64) return -ENOEXEC;
  // Somebody else's stop: the thread we were told of is not in its ioctl (any more).
  if (registers.orig_rax != SYS_ioctl) return -EINVAL;
  unsigned char code[sizeof kSyscall];
  if (!copyIn(tid_, registers.rip - sizeof code, code, sizeof code)) return -EFAULT;
  if (memcmp(code, kSyscall, sizeof code) != 0) return -ENOEXEC;  // int 0x80
  registers_ = registers;
  if (int error = blockSignals()) return error;
  prepared_ = true;
  return 0;
}

int Tracee::blockSignals() {
  if (ptrace(PTRACE_GETSIGMASK, tid_, sizeof signalMask_, &signalMask_) < 0) return -errno;
  uint64_t mask = ~uint64_t{0};
  // A fault with its signal blocked would kill, and reset the client's handler (force_sig()).
  for (int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS}) mask &= ~(uint64_t{1} << (fault - 1));
  siginfo_t signal{};
  int pending = stopSignal();
  if (pending) ptrace(PTRACE_GETSIGINFO, tid_, 0, &signal);
  if (ptrace(PTRACE_SETSIGMASK, tid_, sizeof mask, &mask) < 0) return -errno;
  if (!pending) return 0;
  // The stop is about a signal that came first; going on would lose it or run its handler: back into the
  // queue.
  pid_t group = threadGroupOf(tid_);
  if (syscall(SYS_rt_tgsigqueueinfo, group, tid_, pending, &signal) == 0) return 0;
  // Not allowed for what kill() and the kernel itself have sent.
  return errnoResult(syscall(SYS_tgkill, group, tid_, pending));
}

// Below the red zone of the stack; what is there comes back in restore().
int Tracee::writePath(int fd) {
  char path[sizeof underPath_] = {};
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  if (pathAddress_) return copyOut(tid_, pathAddress_, path, sizeof path) ? 0 : -EFAULT;
  // The lower one may lie beyond what the stack has grown to. The last resort is in use, but not while its
  // thread is stopped.
  for (uint64_t distance : {512, 256, 0}) {
    uint64_t address = (registers_.rsp - distance) & ~uint64_t{15};
    if (!copyIn(tid_, address, underPath_, sizeof underPath_)) continue;
    if (!copyOut(tid_, address, path, sizeof path)) continue;
    pathAddress_ = address;
    return 0;
  }
  return -EFAULT;
}

// Lets the thread run to its next system call stop. EPERM when something else ends the call: a seccomp
// filter's SIGSYS.
int Tracee::nextSyscallStop() {
  int signal = 0;
  for (;;) {
    state_ = State::Running;
    // ESRCH: killed, and the wait says so.
    if (ptrace(PTRACE_SYSCALL, tid_, 0, signal) < 0 && errno != ESRCH) return -errno;
    if (!stopped()) return -ESRCH;
    if (WSTOPSIG(status_) == kSyscallStop) return 0;
    signal = stopSignal();
    // SIGSTOP can't be blocked. It stops the group in the way of job control, out of which PTRACE_SYSCALL
    // leads; detaching leads back in.
    if (signal != 0 && signal != SIGSTOP) return -EPERM;
  }
}

int Tracee::finish(int64_t result) {
  if (!stopped()) return -ESRCH;
  if (prepared_) {
    registers_.rax = static_cast<unsigned long long>(result);
    return restore();
  }
  user_regs_struct registers{};
  iovec set{&registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, tid_, NT_PRSTATUS, &set) < 0) return -errno;
  if (set.iov_len == sizeof registers) {
    registers.rax = static_cast<unsigned long long>(result);
  } else {
    // user_regs_struct32: eax is the seventh word.
    auto word = static_cast<int32_t>(result);
    memcpy(reinterpret_cast<char*>(&registers) + 6 * sizeof word, &word, sizeof word);
  }
  if (ptrace(PTRACE_SETREGSET, tid_, NT_PRSTATUS, &set) < 0) return -errno;
  return detach(stopSignal());
}

int Tracee::restore() {
  // The stack may have been unmapped by another thread: then nobody misses the bytes.
  if (pathAddress_) copyOut(tid_, pathAddress_, underPath_, sizeof underPath_);
  registers_.orig_rax = static_cast<unsigned long long>(-1);
  if (ptrace(PTRACE_SETREGS, tid_, 0, &registers_) < 0) return -errno;
  if (ptrace(PTRACE_SETSIGMASK, tid_, sizeof signalMask_, &signalMask_) < 0) return -errno;
  return detach(0);
}

int Tracee::detach(int signal) {
  int error = errnoResult(ptrace(PTRACE_DETACH, tid_, 0, signal));
  state_ = State::Gone;
  return error;
}

void Tracee::abandon() {
  if (!stopped()) return;
  user_regs_struct registers = registers_;
  if (!prepared_ && ptrace(PTRACE_GETREGS, tid_, 0, &registers) < 0) return;
  auto result = static_cast<int64_t>(registers.rax);
  finish(result < 0 && result > -4096 ? result : -EINTR);
}
