/*
 * What qmail-inject takes from control files and from its environment, qmail-inject(8).
 */
#ifndef INJECT_SETTINGS_H
#define INJECT_SETTINGS_H

#include "inject/rewrite.h"

#include <time.h>

struct settings {
	struct rewrite_rules rules;
	struct str id_host; /* for Message-ID */
	struct str me;      /* this host's name */
	struct str author;  /* of From: user@host */
	struct str sender;  /* of the envelope, as long as nothing else says */
	const char *name;   /* the author's; NULL */
	bool comment_style, ignore_return_path, ignore_from, ignore_message_id;
	bool verp_recipient, verp_message;
};

/* From the home, which is the working directory. Names the control file that can't be read,
 * or gives NULL. */
const char *settings_load(struct settings *settings);

/* Changes settings->sender as the letters r and m ask; when and pid make a message's own. */
void settings_apply_verp(struct settings *settings, time_t when, unsigned long pid);

/* Adds "20261123123721.4711", which no other message of this host has at that time. */
void settings_add_stamp(struct str *to, time_t when, unsigned long pid);

/* Adds the From field's content: Name <user@host>, or user@host (Name). */
void settings_add_author(struct str *to, const struct settings *settings);

#endif
