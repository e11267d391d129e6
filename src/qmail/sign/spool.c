/* A message that is kept until it has been signed: see spool.h. */
#include "sign/spool.h"

#include "lib/bio.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define DIRECTORY "/var/tmp"

bool
spool_open(struct spool *spool)
{
	*spool = (struct spool){.encoder = ENCODER_INIT, .part = STR_INIT};
	spool->encoder.stored = true;
	spool->fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return spool->fd >= 0;
}

ssize_t
spool_read(const struct spool *spool, char *buffer, size_t len, off_t at)
{
	ssize_t got;

	do
		got = pread(spool->fd, buffer, len, at);
	while (got < 0 && errno == EINTR);
	return got;
}

static bool
copy_to(const struct spool *spool, int fd)
{
	char buffer[65536];
	off_t at = 0;

	while (at < spool->len) {
		ssize_t got = spool_read(spool, buffer, sizeof buffer, at);

		if (got <= 0 || !fd_write_all(fd, buffer, (size_t)got))
			return false;
		at += got;
	}
	return true;
}

static bool
move_to_disk(struct spool *spool)
{
	int fd = open(DIRECTORY, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return false;
	if (!copy_to(spool, fd)) {
		close(fd);
		return false;
	}
	close(spool->fd);
	spool->fd = fd;
	spool->on_disk = true;
	return true;
}

bool
spool_add_raw(struct spool *spool, const char *bytes, size_t len)
{
	if (!spool->on_disk && spool->len + (off_t)len > SPOOL_MEMORY && !move_to_disk(spool))
		return false;
	if (!fd_write_all(spool->fd, bytes, len))
		return false;
	spool->len += (off_t)len;
	return true;
}

static bool
keep(struct spool *spool)
{
	bool kept = spool_add_raw(spool, spool->part.s, spool->part.len);

	str_clear(&spool->part);
	return kept;
}

bool
spool_add(struct spool *spool, const char *bytes, size_t len)
{
	encode(&spool->encoder, &spool->part, bytes, len);
	return keep(spool);
}

bool
spool_end(struct spool *spool)
{
	encode_end(&spool->encoder, &spool->part);
	if (!keep(spool))
		return false;
	if (!spool->on_disk && fcntl(spool->fd, F_ADD_SEALS,
				   F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return false;
	return lseek(spool->fd, 0, SEEK_SET) == 0;
}

void
spool_close(struct spool *spool)
{
	close(spool->fd);
	str_free(&spool->part);
}
