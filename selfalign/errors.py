"""What a user can mend: every other exception is a bug of this package and keeps its traceback."""


class UserError(ValueError):
    """Wrong input from outside (files, settings). The message is one line: what is wrong, where, what to do."""
