"""Tests of the plugins: one file for each, in folders named as the collections name them."""
