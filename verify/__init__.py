"""Questions to a running mail site, from outside: a product of its own, see docs/verify.md."""
