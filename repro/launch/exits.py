"""Exit codes, beside 0 for done and 1 for any other failure."""

EXIT_USER_ERROR = 2
EXIT_DEADLOCK = 75
"""Workers wait for each other, or nothing has come for longer than the time limit."""
EXIT_INTERRUPTED = 130
