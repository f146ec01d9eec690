"""Pictures: list, decode once, split, batches. Knows nothing of `crossent` or `models`."""


class DataError(ValueError):
    """The pictures cannot be used as they are; the message says why and what to do."""
