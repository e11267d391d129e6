/* Who gets the mail for a local part: see account.h. */
#include "spawn/account.h"

#include "lib/assign.h"
#include "lib/identity.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static void
take(struct account *account, const struct passwd *entry, const char *dash, const char *ext)
{
	str_set(&account->user, entry->pw_name);
	str_set(&account->home, entry->pw_dir);
	str_set(&account->dash, dash);
	str_set(&account->ext, ext);
	account->uid = entry->pw_uid;
	account->gid = entry->pw_gid;
}

static enum account_found
try_name(const struct account_system *system, const char *name, const struct passwd **entry)
{
	errno = 0;
	*entry = system->look_up(name);
	if (!*entry) /* "not found" is one of several errors, or none: getpwnam(3) */
		return errno && errno != ENOENT && errno != ESRCH && errno != EPERM
			   ? ACCOUNT_TROUBLE
			   : ACCOUNT_NONE;
	if (!(*entry)->pw_uid || (*entry)->pw_dir[0] != '/')
		return ACCOUNT_NONE;
	switch (system->owns((*entry)->pw_dir, (*entry)->pw_uid)) {
	case 1: return ACCOUNT_FOUND;
	case 0: return ACCOUNT_NONE;
	default: return ACCOUNT_TROUBLE;
	}
}

enum account_found
account_passwd(const struct account_system *system, const char *local, struct account *account)
{
	struct str name = STR_INIT;
	const struct passwd *entry;
	enum account_found found = ACCOUNT_NONE;
	size_t len = strlen(local);

	for (;;) {
		if (len && len <= ACCOUNT_NAME_MAX) {
			str_set_bytes(&name, local, len);
			str_lower(&name);
			found = try_name(system, name.s, &entry);
			if (found != ACCOUNT_NONE)
				break;
		}
		while (len && local[len - 1] != '-')
			len--;
		if (!len)
			break;
		len--;
	}
	if (found == ACCOUNT_FOUND)
		take(account, entry, local[len] ? "-" : "", local[len] ? local + len + 1 : "");
	if (found == ACCOUNT_NONE) {
		errno = 0;
		entry = system->look_up(identity_names[IDENTITY_ALIAS]);
		if (entry && entry->pw_uid) {
			take(account, entry, "-", local);
			found = ACCOUNT_FOUND;
		}
	}
	str_free(&name);
	return found;
}

static const struct passwd *
host_look_up(const char *name)
{
	return getpwnam(name);
}

static int
host_owns(const char *path, uid_t uid)
{
	struct stat file;

	if (stat(path, &file) < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP
			   ? 0
			   : -1;
	return S_ISDIR(file.st_mode) && file.st_uid == uid;
}

const struct account_system account_host = {host_look_up, host_owns};

/* What users/assign says. */
static enum account_found
find_assigned(const char *local, struct account *account)
{
	struct assignment a = ASSIGNMENT_INIT;
	enum cdbfile found = assign_find(&a, local);

	if (found == CDBFILE_FOUND) {
		str_set(&account->user, a.user);
		str_set(&account->home, a.home);
		str_set(&account->dash, a.dash);
		str_set(&account->ext, a.ext);
		str_add_str(&account->ext, &a.rest);
		account->uid = a.uid;
		account->gid = a.gid;
	}
	assignment_free(&a);
	switch (found) {
	case CDBFILE_FOUND: return ACCOUNT_FOUND;
	case CDBFILE_ABSENT: return ACCOUNT_NONE;
	default: return ACCOUNT_TROUBLE;
	}
}

enum account_found
account_find(const char *local, struct account *account)
{
	enum account_found found = find_assigned(local, account);

	return found == ACCOUNT_NONE ? account_passwd(&account_host, local, account) : found;
}
