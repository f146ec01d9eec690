"""The article's worked example, step by step: what `python -m crossent explain` prints."""

from collections.abc import Iterator

from crossent.loss import article

CLASS_NAMES = ("dog", "fox", "wolf")
PROBS = (0.33, 0.32, 0.35)  # what a network that has learned nothing yet says of a picture
TARGET = (1, 0, 0)  # the picture shows a dog


def article_example() -> str:
    """Return the whole example as text, with the check against the loss of training."""
    return "\n".join(article_lines())


def article_lines() -> Iterator[str]:
    """Yield the example line by line.

    The equations of `crossent.loss.article` answer at once; only the last line has to load torch,
    so a caller who prints each line as it comes keeps nobody waiting.
    """
    yield from _setting()
    yield from _loss()
    yield from _comparison()
    yield from _slope()
    yield _checked()


def _setting() -> list[str]:
    return [
        "One picture, three classes (the article, chapter 5)",
        "",
        "    class k              " + "".join(f"{name:>8}" for name in CLASS_NAMES),
        "    predicted        y_k " + "".join(f"{y:8.2f}" for y in PROBS),
        "    the right label  t_k " + "".join(f"{t:8d}" for t in TARGET),
        "",
    ]


def _loss() -> list[str]:
    product = " x ".join(f"{y:.2f}^{t}" for y, t in zip(PROBS, TARGET, strict=True))
    terms = " + ".join(f"{t} ln {y:.2f}" for y, t in zip(PROBS, TARGET, strict=True))
    log_likelihood = article.log_likelihood(PROBS, TARGET)
    nats, bits, dits = (article.cross_entropy(PROBS, TARGET, u) for u in article.LOGARITHMS)
    return [
        "1. How likely does the prediction make what is right?",
        f"       L = prod_k y_k^t_k = {product} = {article.likelihood(PROBS, TARGET):.2f}",
        "2. Its logarithm turns the product into a sum",
        f"       log L = sum_k t_k log y_k = {terms} = {log_likelihood:.6f}    (5.1)",
        "3. Its negative is the cross-entropy, the loss that training makes smaller",
        f"       E = -sum_k t_k log y_k = {nats:.6f} nats    (5.2)",
        f"         = {bits:.6f} bits (base 2) = {dits:.6f} in base 10",
        "",
    ]


def _comparison() -> list[str]:
    nats = article.cross_entropy(PROBS, TARGET)
    num_classes = len(CLASS_NAMES)
    even = article.baseline(num_classes)
    return [
        f"Is that much? Answering 1/{num_classes} to everything gives E = ln {num_classes} ="
        f" {even:.6f}.",
        f"    exp(E) = {article.perplexity(nats):.4f}: as unsure as between that many classes;"
        f" guessing, it is {num_classes}.",
        f"    The dog got {PROBS[0]:.2f}, a little less than 1/{num_classes}, so this is a little"
        " worse than guessing.",
        "    A network that learns makes E fall from there.",
        "",
        f"The article prints {-article.cross_entropy(PROBS, TARGET, 'dits'):.6f}: a small slip, the"
        " logarithm to base 10 of 0.33 in place",
        "of the natural one, and without the minus sign of (5.2): the same E, in another unit.",
        "",
    ]


def _slope() -> list[str]:
    slopes = article.gradient(PROBS, TARGET)
    return [
        "Which way is down? With y = softmax(z), the derivative is what was said less what was"
        " right:",
        "       dE/dz_k = y_k - t_k",
        *(f"         {_in_words(*row)}" for row in zip(CLASS_NAMES, slopes, strict=True)),
        "    They add up to 0: what the dog gains, the others lose.",
        "",
    ]


def _in_words(name: str, slope: float) -> str:
    move = "too little was said, so a step raises it" if slope < 0 else "too much, it is lowered"
    return f"{name:<5} {slope:+.2f}   {move}"


def _checked() -> str:
    value = trained_with()
    return (
        f"crossent.cross_entropy, the function that training calls, gives {value:.6f} for z = ln y."
    )


def trained_with() -> float:
    """Return E of the example from the loss that training calls, with z = ln y as the logits."""
    import torch  # takes a second, and only this line needs it

    from crossent import cross_entropy

    logits = torch.tensor([PROBS], dtype=torch.float64).log()  # softmax(ln y) = y
    return cross_entropy(logits, torch.tensor([TARGET.index(1)])).item()
