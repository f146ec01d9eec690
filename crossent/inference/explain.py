"""One prediction and what follows from it by the article's equations, in numbers and in words.

The words are the same steps for a terminal or in Markdown, in English or in Japanese.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from crossent.errors import UserError
from crossent.loss import article, cross_entropy
from crossent.model_file import Classifier
from data.decode import Inspection, UnusableImage
from data.decode_pool import decode_in_order
from data.table import printable

MAX_ROWS = 6  # classes to show; 1,000 of them would fill pages with zeros
LANGUAGES = ("en", "ja")
SENTENCES: dict[str, tuple[str, str]] = {
    "title": (
        "{path}: one picture, {num_classes} classes. The model predicts {predicted}. ",
        "{path}：画像 1 枚、クラス数 {num_classes}。モデルの答えは {predicted} です。",
    ),
    "given": ("The true class is {label}.", "正解は {label} です。"),
    "taken": (
        "No label was given: the following takes {label} for true.",
        "正解が与えられていないので、以下では {label} を正解とみなします。",
    ),
    "class": ("class k", "クラス k"),
    "others": ("{count} others", "ほか {count} クラス"),
    "likelihood": (
        "How likely does the prediction y make the label t?",
        "予測 y のもとで、正解 t はどれくらい起こりやすいか（尤度）",
    ),
    "log": ("The logarithm turns the product into a sum", "対数をとると、積が和になります"),
    "E": (
        "Its negative is the cross-entropy, the loss that training makes smaller",
        "マイナスを付けるとクロスエントロピー。学習が小さくしていく損失です",
    ),
    "gradient": (
        "Which way is down? The derivative is prediction minus label",
        "どちらへ動けば下がるか。微分は「予測 − 正解」になります",
    ),
    "units": (
        "In other units: {bits:.6f} bits (base 2), {dits:.6f} dits (base 10).",
        "別の単位では：{bits:.6f} ビット（底 2）、{dits:.6f} ディット（底 10）。",
    ),
    "perplexity": (
        "exp(E) = {perplexity:.4f}: as unsure as between that many classes. "
        "Guessing gives {num_classes}, and E = ln {num_classes} = {baseline:.6f}.",
        "exp(E) = {perplexity:.4f}：これだけの数のクラスで迷っているのと同じです。"
        "当てずっぽうなら {num_classes}、E は ln {num_classes} = {baseline:.6f} です。",
    ),
    "step": ("The next step would push {moves}.", "次の 1 ステップは、{moves}ます。"),
    "comma": (", ", "、"),
    "up": ("{name} up by {size:.2f}", "{name} を {size:.2f} 上げ"),
    "down": ("{name} down by {size:.2f}", "{name} を {size:.2f} 下げ"),
    "scale": (
        "These are pushes on the logits z, to be multiplied by the learning rate. "
        "They add up to 0.",
        "これはロジット z への押しの強さで、実際には学習率が掛かります。合計は 0 です。",
    ),
    "slip": (
        "The article prints -{dits:.6f}. That is log10(0.33), a small slip: (5.2) takes -ln 0.33.",
        "記事には -{dits:.6f} とありますが、これは log10(0.33) で、小さな書き間違いです。"
        "(5.2) では -ln 0.33 です。",
    ),
    "check": (
        "crossent.cross_entropy, the loss of training, gives {trained:.6f} for z = ln y.",
        "学習で使う crossent.cross_entropy は z = ln y で {trained:.6f} を返します。",
    ),
}
# What LaTeX becomes on a terminal.
PLAIN = (
    (r"\frac{\partial E}{\partial z_k}", "dE/dz_k"), (r"\cdots", "..."), (r"\times", "x"),
    (r"\text", ""), ("\\", ""), ("{", ""), ("}", ""),
)  # fmt: skip

Row = tuple[str, float, int, float]  # class, y, t and y - t
Words = dict[str, str]
Step = tuple[str, list[str], str]  # a sentence, the sides of an equation in LaTeX, its number


@dataclass(frozen=True)
class Explanation:
    """What a model predicted for a picture, and what is right.

    Args:
        probs: y, in the order of the class names.
        label: the true class.
        label_is_given: or else the label is the predicted class.
    """

    path: str
    class_names: Sequence[str]
    probs: Sequence[float]
    label: str
    label_is_given: bool = True

    @property
    def target(self) -> list[int]:
        """t: 1 for the label, 0 for the others."""
        return [int(name == self.label) for name in self.class_names]

    @property
    def predicted(self) -> str:
        """The class with the largest y."""
        return self.class_names[max(range(len(self.probs)), key=self.probs.__getitem__)]

    def E(self, unit: str = "nats") -> float:
        """Equation (5.2), in nats, bits or dits."""
        return article.cross_entropy(self.probs, self.target, unit)

    def rows(self, most: int = MAX_ROWS, others: str = "{count} others") -> list[Row]:
        """Rows of the label and of the most probable classes, and one of all others together."""
        gradient = article.gradient(self.probs, self.target)
        columns = list(zip(self.class_names, self.probs, self.target, gradient, strict=True))
        ranked = sorted(range(len(columns)), key=lambda k: (-self.target[k], -self.probs[k]))
        rows = [columns[k] for k in sorted(ranked[:most])]
        if count := len(columns) - len(rows):
            y = max(0.0, 1 - sum(y for _, y, *_ in rows))
            rows.append((others.format(count=count), y, 0, y))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """All numbers, for `explain --format json`."""
        y, t = self.probs, self.target
        columns = {"y": y, "t": t, "gradient": article.gradient(y, t)}
        return {
            "path": self.path,
            "said": self.predicted,
            "label": self.label,
            "label_is_given": self.label_is_given,
            "likelihood": article.likelihood(y, t),
            "log_likelihood": article.log_likelihood(y, t),
            "E": {unit: self.E(unit) for unit in article.LOGARITHMS},
            "exp_E": article.perplexity(self.E()),
            "baseline": article.baseline(len(y)),
            **{k: dict(zip(self.class_names, v, strict=True)) for k, v in columns.items()},
        }


# The article's worked example: an untrained network looks at a dog.
ARTICLE = Explanation("the article's example", ("dog", "fox", "wolf"), (0.33, 0.32, 0.35), "dog")


def explain(
    classifier: Classifier, path: str, label: str | None = None, found: Inspection | None = None
) -> Explanation:
    """Ask a model about one picture file.

    Args:
        label: the true class; None takes the one that the model predicts.
        found: the picture, first in the model's size, where it is decoded already.

    Raises:
        UserError: the file is no picture, or the model does not know the label.
    """
    names = classifier.class_names
    if label is not None and label not in names:  # the cheaper mistake is told first
        raise UserError(f"--label {label}: the model knows only {', '.join(names)}")
    found = found or inspect_picture(path, classifier.preprocessing.image_size)
    # in float64: a y that rounds to 0 would make E infinite
    logits = classifier.logits(torch.tensor(found.pixels[0])[None]).double()  # (1, K)
    probs = [min(y, 1.0) for y in logits.softmax(dim=1)[0].tolist()]  # not a last bit above 1
    predicted = names[probs.index(max(probs))]
    return Explanation(path, names, probs, label or predicted, label is not None)


def inspect_picture(path: str, *sizes: int) -> Inspection:
    """Decode one file, within the limits of training, to squares of these sizes.

    Raises:
        UserError: the file is no picture.
    """
    (found,) = decode_in_order([path], sizes, window=1)
    if isinstance(found, UnusableImage):
        raise UserError(f"{path}: {found}")
    return found


def in_words(e: Explanation, form: str = "text", language: str = "en") -> str:
    """Return the derivation as "text", "markdown" or "json"; in "en" or "ja"."""
    if form == "json":  # text as it is; what no terminal takes is escaped, and comes back the same
        return json.dumps(e.to_dict(), ensure_ascii=not e.path.isprintable(), allow_nan=False)
    index = LANGUAGES.index(language)
    words = {name: sentence[index] for name, sentence in SENTENCES.items()}
    return (as_text if form == "text" else as_markdown)(e, words)


def as_text(e: Explanation, words: Words) -> str:
    """Return it for a terminal: numbered steps, formulas in plain characters."""
    lines = [title(e, words), "", f"       y_k  t_k  {words['class']}"]
    lines += [f"    {y:.4f}  {t:>3}  {name}" for name, y, t, _ in e.rows(others=words["others"])]
    lines.append("")
    for count, (sentence, sides, number) in enumerate(steps(e, words), 1):
        equation = " = ".join(sides)
        for latex, characters in PLAIN:
            equation = equation.replace(latex, characters)
        tag = f"    ({number})" if number else ""
        lines += [f"{count}. {sentence}", f"       {equation}{tag}"]
    return "\n".join([*lines, "", *closing(e, words)])


def as_markdown(e: Explanation, words: Words) -> str:
    """Return it with LaTeX formulas between dollar signs, as GitHub and notebooks show them."""
    lines = [f"### {escape(title(e, words))}", "", f"| {words['class']} | y_k | t_k |"]
    lines.append("|---|---:|---:|")
    for name, y, t, _ in e.rows(others=words["others"]):
        lines.append(f"| {escape(name)} | {y:.4f} | {t} |")
    lines.append("")
    for count, (sentence, (first, *others), number) in enumerate(steps(e, words), 1):
        sides = r" \cr &= ".join(others)  # a line per side, so that a phone has room for it
        tag = rf" \tag{{{number}}}" if number else ""
        equation = rf"\begin{{aligned}} {first} &= {sides} \end{{aligned}}{tag}"
        lines += [f"{count}. {sentence}", "", f"   $${equation}$$", ""]
    return "\n".join([*lines, "\n\n".join(map(escape, closing(e, words)))])


def title(e: Explanation, words: Words) -> str:
    """Return which picture it is, what the model predicts, and what is true."""
    text = words["title"] + words["given" if e.label_is_given else "taken"]
    return text.format(
        path=printable(e.path), num_classes=len(e.probs), predicted=e.predicted, label=e.label
    )


def steps(e: Explanation, words: Words) -> list[Step]:
    """Return the likelihood, (5.1), (5.2) and the derivative."""
    rows = e.rows()
    dots = [r"\cdots"] if len(rows) > MAX_ROWS else []
    rows = rows[:MAX_ROWS]
    factors = r" \times ".join([f"{y:.4f}^{t}" for _, y, t, _ in rows] + dots)
    terms = " + ".join([rf"{t} \ln {y:.4f}" for _, y, t, _ in rows] + dots)
    slopes = ", ".join([f"{slope:+.4f}" for *_, slope in rows] + dots)
    L = f"{article.likelihood(e.probs, e.target):.4g}"
    log_L = f"{article.log_likelihood(e.probs, e.target):.6f}"
    derivative = r"\frac{\partial E}{\partial z_k}"
    return [
        (words["likelihood"], ["L", r"\prod_k y_k^{t_k}", factors, L], ""),
        (words["log"], [r"\log L", r"\sum_k t_k \log y_k", terms, log_L], "5.1"),
        (words["E"], ["E", r"-\sum_k t_k \log y_k", rf"{e.E():.6f}\ \text{{nats}}"], "5.2"),
        (words["gradient"], [derivative, "y_k - t_k", f"({slopes})"], ""),
    ]


def closing(e: Explanation, words: Words) -> list[str]:
    """Return E in other units and in classes, and the next step in words."""
    moves = [  # a step goes against the gradient
        words["up" if slope < 0 else "down"].format(name=name, size=abs(slope))
        for name, *_, slope in e.rows(others=words["others"])
    ]
    numbers = {
        "bits": e.E("bits"),
        "dits": e.E("dits"),
        "perplexity": article.perplexity(e.E()),
        "num_classes": len(e.probs),
        "baseline": article.baseline(len(e.probs)),
        "moves": words["comma"].join(moves),
    }
    names = ["units", "perplexity", "step", "scale"]
    if e is ARTICLE:
        names += ["slip", "check"]
        logits = torch.tensor([e.probs], dtype=torch.float64).log()  # softmax(ln y) = y
        numbers["trained"] = cross_entropy(logits, torch.tensor([0])).item()
    return [words[name].format(**numbers) for name in names]


def escape(text: str) -> str:
    """Return Markdown that shows these characters, whatever they are: a name may hold any."""
    return re.sub(r"([\\`*_{}\[\]<>#|$])", r"\\\1", text)
