"""An explanation in words: the same steps for a terminal or in Markdown, in English or Japanese."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from crossent.inference.explain import ARTICLE, Explanation
from crossent.inference.rows import json_line
from crossent.loss import article, cross_entropy
from data.table import printable

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "title": "{path}: one picture, {num_classes} classes. The model predicts {predicted}. ",
        "given": "The true class is {label}.",
        "taken": "No label was given: the following takes {label} for true.",
        "class": "class k",
        "predicted": "predicted y_k",
        "right": "label t_k",
        "others": "{count} others",
        "likelihood": "How likely does the prediction make the label?",
        "log": "The logarithm turns the product into a sum",
        "E": "Its negative is the cross-entropy, the loss that training makes smaller",
        "units": "In other units: {bits:.6f} bits (base 2), {dits:.6f} dits (base 10).",
        "perplexity": "exp(E) = {perplexity:.4f}: as unsure as between that many classes. "
        "Guessing gives {num_classes}, and E = ln {num_classes} = {baseline:.6f}.",
        "gradient": "Which way is down? The derivative is prediction minus label",
        "step": "The next step would push {moves}.",
        "comma": ", ",
        "up": "{name} up by {size:.2f}",
        "down": "{name} down by {size:.2f}",
        "rest": "the {count} others together down by {size:.2f}",
        "scale": "These are pushes on the logits z, to be multiplied by the learning rate. "
        "They add up to 0.",
        "slip": "The article prints -{dits:.6f}. That is log10(0.33), a small slip: (5.2) takes "
        "-ln 0.33.",
        "check": "crossent.cross_entropy, the loss of training, gives {trained:.6f} for z = ln y.",
    },
    "ja": {
        "title": "{path}：画像 1 枚、クラス数 {num_classes}。モデルの答えは {predicted} です。",
        "given": "正解は {label} です。",
        "taken": "正解が与えられていないので、以下では {label} を正解とみなします。",
        "class": "クラス k",
        "predicted": "予測 y_k",
        "right": "正解 t_k",
        "others": "ほか {count} クラス",
        "likelihood": "この予測のもとで、正解はどれくらい起こりやすいか（尤度）",
        "log": "対数をとると、積が和になります",
        "E": "マイナスを付けるとクロスエントロピー。学習が小さくしていく損失です",
        "units": "別の単位では：{bits:.6f} ビット（底 2）、{dits:.6f} ディット（底 10）。",
        "perplexity": "exp(E) = {perplexity:.4f}：これだけの数のクラスで迷っているのと同じです。"
        "当てずっぽうなら {num_classes}、E は ln {num_classes} = {baseline:.6f} です。",
        "gradient": "どちらへ動けば下がるか。微分は「予測 − 正解」になります",
        "step": "次の 1 ステップは、{moves}ます。",
        "comma": "、",
        "up": "{name} を {size:.2f} 上げ",
        "down": "{name} を {size:.2f} 下げ",
        "rest": "ほか {count} クラスを合わせて {size:.2f} 下げ",
        "scale": "これはロジット z への押しの強さで、実際には学習率が掛かります。合計は 0 です。",
        "slip": "記事には -{dits:.6f} とありますが、これは log10(0.33) で、小さな書き間違いです。"
        "(5.2) では -ln 0.33 です。",
        "check": "学習で使う crossent.cross_entropy は z = ln y で {trained:.6f} を返します。",
    },
}
# What LaTeX becomes on a terminal.
PLAIN = (
    (r"\frac{\partial E}{\partial z_k}", "dE/dz_k"), (r"\cdots", "..."), (r"\times", "x"),
    (r"\text", ""),
    ("\\", ""), ("{", ""), ("}", ""),
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A sentence and an equation: LaTeX of its sides, and its number in the article."""

    sentence: str
    sides: Sequence[str]
    number: str = ""

    def plain(self) -> str:
        text = " = ".join(self.sides)
        for latex, characters in PLAIN:
            text = text.replace(latex, characters)
        return text + (f"    ({self.number})" if self.number else "")

    def latex(self) -> str:
        """Return a line per side, so that a phone has room for it."""
        first, *others = self.sides
        tag = rf" \tag{{{self.number}}}" if self.number else ""
        lines = r" \cr &= ".join(others)
        return rf"\begin{{aligned}} {first} &= {lines} \end{{aligned}}{tag}"


def in_words(explanation: Explanation, form: str = "text", language: str = "en") -> str:
    """Return the derivation as "text", "markdown" or "json"; in "en" or "ja"."""
    if form == "json":
        return json_line(explanation.to_dict())
    return (as_text if form == "text" else as_markdown)(explanation, language)


def as_text(e: Explanation, language: str = "en") -> str:
    """Return it for a terminal: numbered steps, formulas in plain characters."""
    words = WORDS[language]
    lines = [title(e, words), "", *aligned(table(e, words)), ""]
    for number, step in enumerate(steps(e, words), 1):
        lines += [f"{number}. {step.sentence}", f"       {step.plain()}"]
    return "\n".join([*lines, "", *closing(e, words)])


def as_markdown(e: Explanation, language: str = "en") -> str:
    """Return it with LaTeX formulas between dollar signs, as GitHub and notebooks show them."""
    words = WORDS[language]
    head, *rows = (f"| {' | '.join(map(escape, row))} |" for row in table(e, words))
    lines = [f"### {escape(title(e, words))}", "", head.replace("\\", ""), "|---|---:|---:|"]
    lines += [*rows, ""]
    for number, step in enumerate(steps(e, words), 1):
        lines += [f"{number}. {step.sentence}", "", f"   $${step.latex()}$$", ""]
    return "\n".join([*lines, "\n\n".join(map(escape, closing(e, words)))])


def title(e: Explanation, words: dict[str, str]) -> str:
    """Return which picture it is, what the model predicts, and what is true."""
    text = words["title"] + words["given" if e.label_is_given else "taken"]
    return text.format(
        path=printable(e.path), num_classes=len(e.probs), predicted=e.predicted, label=e.label
    )


def table(e: Explanation, words: dict[str, str]) -> list[tuple[str, str, str]]:
    """Return a header and a row for each class that is shown."""
    rows = [(words["class"], words["predicted"], words["right"])]
    rows += [(name, f"{y:.4f}", str(t)) for name, y, t, _ in e.rows()]
    count, y = e.others()
    return [*rows, (words["others"].format(count=count), f"{y:.4f}", "0")] if count else rows


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Fill the cells up with spaces: the first column to the left, the others to the right."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        space = [" " * (w - width(cell)) for cell, w in zip(row, widths, strict=True)]
        first, *others = zip(row, space, strict=True)
        lines.append("  ".join(["    " + "".join(first), *(s + cell for cell, s in others)]))
    return lines


def width(text: str) -> int:
    """Return the columns on a terminal, where a Chinese or Japanese character takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def steps(e: Explanation, words: dict[str, str]) -> list[Step]:
    """Return the likelihood, (5.1), (5.2) and the derivative."""
    dots = [r"\cdots"] if e.others()[0] else []
    factors = r" \times ".join([f"{y:.4f}^{t}" for _, y, t, _ in e.rows()] + dots)
    terms = " + ".join([rf"{t} \ln {y:.4f}" for _, y, t, _ in e.rows()] + dots)
    slopes = ", ".join([f"{slope:+.4f}" for *_, slope in e.rows()] + dots)
    L = f"{article.likelihood(e.probs, e.target):.4g}"
    log_L = f"{article.log_likelihood(e.probs, e.target):.6f}"
    derivative = r"\frac{\partial E}{\partial z_k}"
    return [
        Step(words["likelihood"], ["L", r"\prod_k y_k^{t_k}", factors, L]),
        Step(words["log"], [r"\log L", r"\sum_k t_k \log y_k", terms, log_L], "5.1"),
        Step(words["E"], ["E", r"-\sum_k t_k \log y_k", rf"{e.E():.6f}\ \text{{nats}}"], "5.2"),
        Step(words["gradient"], [derivative, "y_k - t_k", f"({slopes})"]),
    ]


def closing(e: Explanation, words: dict[str, str]) -> list[str]:
    """Return E in other units and in classes, and the next step in words."""
    numbers = {
        "bits": e.E("bits"),
        "dits": e.E("dits"),
        "perplexity": article.perplexity(e.E()),
        "num_classes": len(e.probs),
        "baseline": article.baseline(len(e.probs)),
        "moves": words["comma"].join(moves(e, words)),
    }
    names = ["units", "perplexity", "step", "scale"]
    if e is ARTICLE:
        names += ["slip", "check"]
        numbers["trained"] = trained_with(e)
    return [words[name].format(**numbers) for name in names]


def moves(e: Explanation, words: dict[str, str]) -> list[str]:
    """Return what a step, which goes against the gradient, does to each class that is shown."""
    found = [
        words["up" if slope < 0 else "down"].format(name=name, size=abs(slope))
        for name, _, _, slope in e.rows()
    ]
    count, y = e.others()
    return [*found, words["rest"].format(count=count, size=y)] if count else found


def trained_with(e: Explanation) -> float:
    """Return E from the loss that training calls, with z = ln y as the logits."""
    logits = torch.tensor([e.probs], dtype=torch.float64).log()  # softmax(ln y) = y
    return cross_entropy(logits, torch.tensor([e.target.index(1)])).item()


def escape(text: str) -> str:
    """Return Markdown that shows these characters, whatever they are: a name may hold any."""
    return re.sub(r"([\\`*_{}\[\]<>#|$])", r"\\\1", text)
