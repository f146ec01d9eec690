"""Pictures: list, decode once, split, batches. Imports neither `crossent` nor `models`."""


class DataError(ValueError):
    """An error of the user's pictures; the message says what is wrong and what to do."""
