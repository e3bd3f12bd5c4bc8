"""The one exception that means the user, not the program, has to change something."""


class UserError(Exception):
    """Bad input: one clear line for the user, exit code 2; control characters in what it quotes are spelt out."""

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))
