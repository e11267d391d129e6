"""Tests of the pipeline: the modules that fetch, build and switch."""
