"""Pictures: list, decode once, split, batches. Imports neither `crossent` nor `models`."""


class DataError(ValueError):
    """The pictures cannot be used as they are; the message says why and what to do."""
