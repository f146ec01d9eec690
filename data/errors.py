"""Errors about pictures, which the user can put right."""


class DataError(ValueError):
    """The pictures cannot be used as they are; the message says why and what to do."""


class UnusableImage(ValueError):
    """One file cannot become pixels; the message is the reason in plain words, without the path.

    `sha256` is that of the content (hex), where it could be read.
    """

    def __init__(self, reason: str, sha256: str | None = None) -> None:
        super().__init__(reason)
        self.sha256 = sha256
