/*
 * The floor of a tree outside the kernel: what a C programmer gets from libfuse3's low-level API for the files below a directory of a tmpfs,
 * with as little work per request as pretend sysfs files allow. The kernel keeps names, attributes, links and listings for ever; files
 * are read with direct I/O, as their size says nothing about their length, and closed without a flush. One thread.
 *
 *   peer-tree DIRECTORY -f -s -o allow_other MOUNTPOINT
 */
#define FUSE_USE_VERSION 312
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Its address is the inode number. Nothing is forgotten: the tree is as large as it is. */
struct node {
	struct node *parent;
	char name[];
};

struct listing {
	DIR *entries;
	struct dirent *next; /* read and not told yet */
};

static const double KEEP = 3600; /* seconds the kernel may cache names and attributes */
static const char *top;

static struct node *node_of(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? NULL : (struct node *)ino;
}

/* From the end of `buffer` to the front. */
static char *path_of(const struct node *node, char *buffer)
{
	char *at = buffer + PATH_MAX - 1;

	*at = 0;
	for (; node; node = node->parent) {
		size_t length = strlen(node->name);

		at -= length;
		memcpy(at, node->name, length);
		*--at = '/';
	}
	at -= strlen(top);
	return memcpy(at, top, strlen(top));
}

static int look(const struct node *node, struct stat *st)
{
	char buffer[PATH_MAX];

	if (lstat(path_of(node, buffer), st))
		return errno;
	st->st_ino = (fuse_ino_t)node;
	return 0;
}

static int entry_of(fuse_ino_t parent, const char *name, struct fuse_entry_param *entry)
{
	size_t length = strlen(name) + 1;
	struct node *node = malloc(sizeof *node + length);
	int error;

	if (!node)
		return ENOMEM;
	node->parent = node_of(parent);
	memcpy(node->name, name, length);
	*entry = (struct fuse_entry_param){ .ino = (fuse_ino_t)node, .attr_timeout = KEEP, .entry_timeout = KEEP };
	error = look(node, &entry->attr);
	if (error)
		free(node);
	return error;
}

static void initialise(void *data, struct fuse_conn_info *connection)
{
	(void)data;
	connection->want |= connection->capable & FUSE_CAP_CACHE_SYMLINKS;
}

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry;
	int error = entry_of(parent, name, &entry);

	if (error)
		fuse_reply_err(req, error);
	else
		fuse_reply_entry(req, &entry);
}

static void getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct stat st;
	int error = look(node_of(ino), &st);

	(void)file;
	if (error)
		fuse_reply_err(req, error);
	else
		fuse_reply_attr(req, &st, KEEP);
}

static void read_link(fuse_req_t req, fuse_ino_t ino)
{
	char buffer[PATH_MAX], target[PATH_MAX];
	ssize_t length = readlink(path_of(node_of(ino), buffer), target, sizeof target - 1);

	if (length < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	target[length] = 0;
	fuse_reply_readlink(req, target);
}

static void open_directory(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	char buffer[PATH_MAX];
	struct listing *listing = calloc(1, sizeof *listing);

	if (!listing || !(listing->entries = opendir(path_of(node_of(ino), buffer)))) {
		fuse_reply_err(req, errno);
		free(listing);
		return;
	}
	file->fh = (uint64_t)listing;
	file->cache_readdir = file->keep_cache = 1;
	fuse_reply_open(req, file);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, struct fuse_file_info *file, int plus)
{
	struct listing *listing = (struct listing *)file->fh;
	char *page = malloc(size);
	size_t used = 0;

	if (!page) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	for (;; listing->next = NULL) {
		struct dirent *next = listing->next ? listing->next : readdir(listing->entries);
		struct fuse_entry_param entry = { .attr = { .st_ino = 1 } };
		size_t needed, room = size - used;

		listing->next = next;
		if (!next)
			break;
		entry.attr.st_mode = DTTOIF(next->d_type);
		needed = plus ? fuse_add_direntry_plus(req, NULL, 0, next->d_name, NULL, 0)
			      : fuse_add_direntry(req, NULL, 0, next->d_name, NULL, 0);
		if (needed > room)
			break;
		if (plus && strcmp(next->d_name, ".") && strcmp(next->d_name, ".."))
			entry_of(ino, next->d_name, &entry);
		if (plus)
			fuse_add_direntry_plus(req, page + used, room, next->d_name, &entry, next->d_off);
		else
			fuse_add_direntry(req, page + used, room, next->d_name, &entry.attr, next->d_off);
		used += needed;
	}
	fuse_reply_buf(req, page, used);
	free(page);
}

static void read_directory(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file)
{
	(void)offset;
	list(req, ino, size, file, 0);
}

static void read_directory_plus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file)
{
	(void)offset;
	list(req, ino, size, file, 1);
}

static void release_directory(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct listing *listing = (struct listing *)file->fh;

	(void)ino;
	closedir(listing->entries);
	free(listing);
	fuse_reply_err(req, 0);
}

static void open_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	char buffer[PATH_MAX];
	int fd = open(path_of(node_of(ino), buffer), O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	file->fh = fd;
	file->direct_io = file->noflush = 1;
	fuse_reply_open(req, file);
}

static void read_file(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file)
{
	char content[4096];
	ssize_t length = pread(file->fh, content, size < sizeof content ? size : sizeof content, offset);

	(void)ino;
	if (length < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_buf(req, content, length);
}

static void release_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	(void)ino;
	close(file->fh);
	fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops operations = {
	.init = initialise, .lookup = lookup, .getattr = getattr, .readlink = read_link,
	.opendir = open_directory, .readdir = read_directory, .readdirplus = read_directory_plus,
	.releasedir = release_directory, .open = open_file, .read = read_file, .release = release_file,
};

int main(int argc, char **argv)
{
	struct fuse_args args;
	struct fuse_cmdline_opts options;
	struct fuse_session *session;
	int result;

	if (argc < 3)
		return 2;
	top = argv[1];
	argv[1] = argv[0];
	args = (struct fuse_args)FUSE_ARGS_INIT(argc - 1, argv + 1);
	if (fuse_parse_cmdline(&args, &options) || !options.mountpoint)
		return 2;
	session = fuse_session_new(&args, &operations, sizeof operations, NULL);
	if (!session || fuse_set_signal_handlers(session) || fuse_session_mount(session, options.mountpoint))
		return 1;
	result = fuse_session_loop(session);
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	return result < 0;
}
