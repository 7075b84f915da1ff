"""The one exception of this package: its text is a single line for the person who runs it."""


class CaptureError(RuntimeError):
    """What was asked cannot be recorded; the message says what was met, what was expected and what to do."""
