/*
 * What qmail-lspawn and qmail-lookup say to each other, by a SOCK_SEQPACKET socket on
 * descriptors 0 and 1 of the latter:
 *
 *	asked		two bytes SLOT, the local part, NUL
 *	answered	two bytes SLOT, a byte enum account_found, an account as account_pack has it
 */
#ifndef SPAWN_LOOKUP_H
#define SPAWN_LOOKUP_H

#define LOOKUP_MAX 16384 /* bytes of one of them */

#endif
