"""mailauth: who sent a message, as far as SPF (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 9989) can tell.

A module of hi-q's, which calls what is in `mailauth.judge`, once for each message of a stranger.
"""
