"""Throw-away Debian hosts in containers, and the commands that are built on them.

`host` looks at the machine, `apt` at its package archive; `image` makes a system image, `container` runs it. `lab`,
`demo` and `suite` are the commands bin/lab, bin/demo and bin/test.
"""
