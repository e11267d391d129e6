"""Tests of the modules and filters that handle certificates."""
