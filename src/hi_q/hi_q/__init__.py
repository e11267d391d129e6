"""hi-q: filters in a pipe ahead of qmail-queue.

What is imported for a message is the modules' speed: nothing beyond built-in modules of the interpreter. `typing`,
`signal`, `re` or `subprocess` would each cost more than all of hi-q.
"""
