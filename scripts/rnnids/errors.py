"""The one exception that means "the input is at fault, not the program"."""


class InputError(Exception):
    """A file, value or option given by the user cannot be used.

    The message names the file, the place in it and the remedy; scripts print it without a
    traceback and exit with status 2 (see :func:`rnnids.cli.run`).
    """
