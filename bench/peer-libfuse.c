/*
 * The peer: what a C programmer gets from libfuse3's low-level API, with as little work per request as a VFIO device file can have.
 *
 * One regular file, "dev". An ioctl without size bits (as all of VFIO's are) reads its 16-byte argument from the caller's memory,
 * changes it and writes it back, positive as VFIO_GROUP_GET_STATUS; a read gives zeroes. Bytes travel as they do for a device file:
 * direct I/O.
 *
 *   peer-libfuse -f -s -o allow_other MOUNTPOINT     one thread; without -s libfuse's thread pool
 */
#define FUSE_USE_VERSION 312
#define _GNU_SOURCE
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

enum { ROOT = FUSE_ROOT_ID, DEVICE };
static const double KEEP = 60; /* seconds the kernel may cache names and attributes */

static struct stat attributes(fuse_ino_t ino)
{
	return (struct stat){
		.st_ino = ino,
		.st_mode = ino == ROOT ? S_IFDIR | 0755 : S_IFREG | 0666,
		.st_nlink = 1,
	};
}

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.ino = DEVICE, .attr = attributes(DEVICE), .attr_timeout = KEEP, .entry_timeout = KEEP,
	};

	if (parent == ROOT && !strcmp(name, "dev"))
		fuse_reply_entry(req, &entry);
	else
		fuse_reply_err(req, ENOENT);
}

static void getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct stat st = attributes(ino);

	(void)file;
	fuse_reply_attr(req, &st, KEEP);
}

static void open_device(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	if (ino != DEVICE) {
		fuse_reply_err(req, EISDIR);
		return;
	}
	file->direct_io = 1;
	fuse_reply_open(req, file);
}

static void read_device(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file)
{
	static const char zeroes[4096];

	(void)ino, (void)offset, (void)file;
	fuse_reply_buf(req, zeroes, size < sizeof zeroes ? size : sizeof zeroes);
}

static void ioctl_device(fuse_req_t req, fuse_ino_t ino, unsigned int command, void *argument,
			 struct fuse_file_info *file, unsigned int flags, const void *in, size_t in_size,
			 size_t out_size)
{
	pid_t caller = fuse_req_ctx(req)->pid;
	uint32_t words[4];
	struct iovec here = { words, sizeof words }, there = { argument, sizeof words };

	(void)ino, (void)command, (void)file, (void)flags, (void)in, (void)in_size, (void)out_size;
	if (process_vm_readv(caller, &here, 1, &there, 1, 0) != sizeof words)
		goto fault;
	words[1] = 1;
	if (process_vm_writev(caller, &here, 1, &there, 1, 0) != sizeof words)
		goto fault;
	fuse_reply_ioctl(req, 0, NULL, 0);
	return;
fault:
	fuse_reply_err(req, EFAULT);
}

static const struct fuse_lowlevel_ops operations = {
	.lookup = lookup, .getattr = getattr, .open = open_device, .read = read_device, .ioctl = ioctl_device,
};

static int loop_mt(struct fuse_session *session)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int result = fuse_session_loop_mt(session, config);

	fuse_loop_cfg_destroy(config);
	return result;
}

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct fuse_cmdline_opts options;
	struct fuse_session *session;
	int result;

	if (fuse_parse_cmdline(&args, &options) || !options.mountpoint)
		return 2;
	session = fuse_session_new(&args, &operations, sizeof operations, NULL);
	if (!session || fuse_set_signal_handlers(session) || fuse_session_mount(session, options.mountpoint))
		return 1;
	result = options.singlethread ? fuse_session_loop(session) : loop_mt(session);
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	return result < 0;
}
