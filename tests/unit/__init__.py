"""Tests of what runs on the controller: one file for each module, plugin, role, page and tool."""
