"""Mutation testing of roles, modules, filters and programs: which single change of a file no fast test notices."""
