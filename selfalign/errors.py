"""What a user can mend: every other exception is a bug of this package and keeps its traceback."""


class UserError(ValueError):
    """Wrong input from outside (files, settings). The message is one line: what is wrong, where, what to do."""


class NonFiniteError(UserError):
    """A loss or gradient that is no number; the weights of the step before are still there."""
