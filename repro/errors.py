"""The one exception that means the user, not the program, has to change something."""


class UserError(Exception):
    """Bad input: one clear line for the user, exit code 2."""
