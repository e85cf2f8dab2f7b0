// What the launcher, the supervisor and the daemon agree on.
#pragma once

#include <cstdint>

// Descriptors of vfiofs-supervise: where the launcher hands it the listener, and its line to the process that runs it all.
constexpr int kListenerSocket = 3;
constexpr int kLifeline = 4;
// Said on the lifeline (src/run/lifeline.ts) when it begins.
constexpr char kServing[] = "serving\n";
// Said before an orderly end: nobody is left to supervise.
constexpr char kOver[] = "over\n";

// ioctl numbers of ours on files of a pretend host, without size and direction bits, so that FUSE passes them on as they are. A filter of ours
// traps the first: told to the supervisor that is there already, it makes the file system of the descriptor one of those supervised.
constexpr unsigned kSuperviseThis = 0x0000eff6;

// The others are the supervisor's, on a copy of the client's descriptor, and the daemon's to answer (src/client/errand.ts): carry an ioctl out for the
// thread that waits in it, whose argument and memory are that thread's. What is promised is opened through /proc/self/fd of the same thread.
constexpr unsigned kActFor = 0x0000eff7;
struct ActFor {
  uint32_t tid;
  uint32_t command;
  uint64_t argument;
  int32_t result;
  uint32_t opens;
  uint32_t flags;
  uint32_t delivers;
};
// The number of the new descriptor in the client, or -errno. Returns what the client's ioctl does.
constexpr unsigned kDeliver = 0x0000eff8;
// The name of an open file without a path, into 64 bytes at the argument. Returns its length; 0 for a file that has a path.
constexpr unsigned kNameOf = 0x0000eff9;
// On the host's /sys: the argument is a socket of NETLINK_KOBJECT_UEVENT of the supervisor's, in whose network namespace the host's events are
// broadcast for as long as the supervisor lives.
constexpr unsigned kBroadcastBy = 0x0000effa;

// In the host's /sys where the real machine's is shown, too (src/run/merged.ts).
constexpr char kRealBeside[] = ".real";

// Inode numbers say which character device a file stands for, as FUSE can't say it otherwise (src/transports/fuse/inode-number.ts).
constexpr uint64_t kDeviceInode = uint64_t{1} << 52;
constexpr unsigned inodeMajor(uint64_t inode) { return inode >> 43 & 0x1ff; }
constexpr unsigned inodeMinor(uint64_t inode) { return inode >> 23 & 0xfffff; }
