"""DKIM (RFC 6376, 8301, 8463): signing what this site originates, and verifying what others have signed.

Messages are read in pieces, so that their size decides about the time and not about the memory; and every step takes a
time in proportion to what it reads, whatever a stranger has put there. Hashes are hashlib's, and what is done with keys
the `cryptography` of Debian does.
"""
