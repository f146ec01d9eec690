"""An explanation as text: the same steps for a terminal or in Markdown, in English or Japanese."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from crossent.inference.explain import Explanation
from data.table import printable

MAX_CLASSES = 6  # shown; a model of 1,000 classes would fill pages with zeros

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "title": "{path}: one picture, {num_classes} classes. ",
        "said": "The model says {said}. ",
        "given": "The right answer is {label}.",
        "taken": "No label was given: the following takes {label} for right.",
        "class": "class k",
        "predicted": "predicted y_k",
        "right": "right t_k",
        "others": "{count} others",
        "likelihood": "How likely does the prediction make what is right?",
        "log": "Its logarithm turns the product into a sum",
        "E": "Its negative is the cross-entropy, the loss that training makes smaller",
        "units": "In other units: {bits:.6f} bits (base 2), {dits:.6f} in base 10",
        "perplexity": "exp(E) = {perplexity:.4f}: as unsure as between that many classes. "
        "Guessing, it is {num_classes}, and E is ln {num_classes} = {baseline:.6f}.",
        "gradient": "Which way is down? The derivative is what was said less what was right",
        "step": "The next step would push {moves}.",
        "comma": ", ",
        "up": "{name} up by {size:.2f}",
        "down": "{name} down by {size:.2f}",
        "rest": "the {count} others together down by {size:.2f}",
        "scale": "These are pushes on the logits z, to be multiplied by the learning rate. "
        "They add up to 0.",
    },
    "ja": {
        "title": "{path}：画像 1 枚、クラス数 {num_classes}。",
        "said": "モデルの答えは {said} です。",
        "given": "正解は {label} です。",
        "taken": "正解が与えられていないので、以下では {label} を正解とみなします。",
        "class": "クラス k",
        "predicted": "予測 y_k",
        "right": "正解 t_k",
        "others": "ほか {count} クラス",
        "likelihood": "この予測のもとで、正解はどれくらい起こりやすいか（尤度）",
        "log": "対数をとると、積が和になります",
        "E": "マイナスを付けるとクロスエントロピー。学習が小さくしていく損失です",
        "units": "別の単位では：{bits:.6f} ビット（底 2）、{dits:.6f}（底 10）",
        "perplexity": "exp(E) = {perplexity:.4f}：これだけの数のクラスで迷っているのと同じです。"
        "当てずっぽうなら {num_classes}、E は ln {num_classes} = {baseline:.6f} です。",
        "gradient": "どちらへ動けば下がるか。微分は「予測 − 正解」になります",
        "step": "次の 1 ステップは、{moves}ます。",
        "comma": "、",
        "up": "{name} を {size:.2f} 上げ",
        "down": "{name} を {size:.2f} 下げ",
        "rest": "ほか {count} クラスを合わせて {size:.2f} 下げ",
        "scale": "これはロジット z への押しの強さで、実際には学習率が掛かります。合計は 0 です。",
    },
}
LANGUAGES = tuple(WORDS)


@dataclass(frozen=True)
class Step:
    """A sentence and its formula, for a terminal and in LaTeX."""

    sentence: str
    plain: str
    latex: str


def as_text(explanation: Explanation, language: str = "en") -> str:
    """For a terminal: numbered steps, formulas in plain characters."""
    lines = [title(explanation, WORDS[language]), ""]
    lines += ["    " + "  ".join(row) for row in aligned(table(explanation, WORDS[language]))]
    lines.append("")
    for number, step in enumerate(steps(explanation, WORDS[language]), 1):
        lines += [f"{number}. {step.sentence}", f"       {step.plain}"]
    return "\n".join([*lines, "", *closing(explanation, WORDS[language])])


def as_markdown(explanation: Explanation, language: str = "en") -> str:
    """Steps with LaTeX formulas between dollar signs, as GitHub and notebooks show them."""
    header, *rows = table(explanation, WORDS[language])
    lines = [f"### {escape(title(explanation, WORDS[language]))}", ""]
    lines += [f"| {' | '.join(header)} |", "|---|---:|---:|"]
    lines += [f"| {' | '.join(map(escape, row))} |" for row in rows] + [""]
    for number, step in enumerate(steps(explanation, WORDS[language]), 1):
        lines += [f"{number}. {step.sentence}", "", f"   $${step.latex}$$", ""]
    return "\n".join([*lines, "\n\n".join(map(escape, closing(explanation, WORDS[language])))])


def title(e: Explanation, words: dict[str, str]) -> str:
    """Which picture, what the model says, what is right."""
    about = words["given" if e.label_is_given else "taken"]
    return (
        words["title"].format(path=printable(e.path), num_classes=len(e.class_names))
        + words["said"].format(said=e.said)
        + about.format(label=e.label)
    )


def shown(e: Explanation) -> list[int]:
    """The classes worth a row: the label and the most probable ones, in their own order."""
    label = e.class_names.index(e.label)
    ranked = sorted(range(len(e.probs)), key=lambda k: (k != label, -e.probs[k]))
    return sorted(ranked[:MAX_CLASSES])


def table(e: Explanation, words: dict[str, str]) -> list[tuple[str, str, str]]:
    """A header and a row for each class that is shown."""
    rows = [(words["class"], words["predicted"], words["right"])]
    rows += [(e.class_names[k], f"{e.probs[k]:.4f}", str(e.target[k])) for k in shown(e)]
    count, y = others(e)
    if count:
        rows.append((words["others"].format(count=count), f"{y:.4f}", "0"))
    return rows


def others(e: Explanation) -> tuple[int, float]:
    """How many classes are not shown, and the sum of their y."""
    rest = set(range(len(e.probs))) - set(shown(e))
    return len(rest), sum(e.probs[k] for k in rest)


def aligned(rows: Sequence[tuple[str, ...]]) -> list[list[str]]:
    """The cells filled up with spaces: the first column to the left, the others to the right."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [
        [
            cell + " " * (w - width(cell)) if i == 0 else " " * (w - width(cell)) + cell
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]


def width(text: str) -> int:
    """Columns on a terminal, where a Chinese or Japanese character takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def steps(e: Explanation, words: dict[str, str]) -> list[Step]:
    """The derivation: likelihood, (5.1), (5.2), the derivative."""
    y = [f"{e.probs[k]:.4f}" for k in shown(e)]
    t = [e.target[k] for k in shown(e)]
    gradient = [f"{e.gradient[k]:+.4f}" for k in shown(e)]
    more, dots = (["..."], [r"\cdots"]) if others(e)[0] else ([], [])
    product = " x ".join([f"{a}^{b}" for a, b in zip(y, t, strict=True)] + more)
    factors = r" \times ".join([f"{a}^{b}" for a, b in zip(y, t, strict=True)] + dots)
    terms = " + ".join([f"{b} ln {a}" for a, b in zip(y, t, strict=True)] + more)
    summands = " + ".join([rf"{b} \ln {a}" for a, b in zip(y, t, strict=True)] + dots)
    slopes, vector = ", ".join(gradient + more), r",\ ".join(gradient + dots)
    L, log_L, E = f"{e.likelihood:.4g}", f"{e.log_likelihood:.6f}", f"{e.E():.6f}"
    return [
        Step(
            words["likelihood"],
            f"L = prod_k y_k^t_k = {product} = {L}",
            rf"L = \prod_k y_k^{{t_k}} = {factors} = {L}",
        ),
        Step(
            words["log"],
            f"log L = sum_k t_k log y_k = {terms} = {log_L}    (5.1)",
            rf"\log L = \sum_k t_k \log y_k = {summands} = {log_L} \tag{{5.1}}",
        ),
        Step(
            words["E"],
            f"E = -sum_k t_k log y_k = {E} nats    (5.2)",
            rf"E = -\sum_k t_k \log y_k = {E} \tag{{5.2}}",
        ),
        Step(
            words["gradient"],
            f"dE/dz_k = y_k - t_k = ({slopes})",
            rf"\frac{{\partial E}}{{\partial z_k}} = y_k - t_k = ({vector})",
        ),
    ]


def closing(e: Explanation, words: dict[str, str]) -> list[str]:
    """E in other units and in classes; the next step in words."""
    return [
        words["units"].format(bits=e.E("bits"), dits=e.E("dits")),
        words["perplexity"].format(
            perplexity=e.perplexity, num_classes=len(e.class_names), baseline=e.baseline
        ),
        words["step"].format(moves=words["comma"].join(moves(e, words))),
        words["scale"],
    ]


def moves(e: Explanation, words: dict[str, str]) -> list[str]:
    """What a step, which goes against the gradient, would do to each class that is shown."""
    found = [
        words["up" if e.gradient[k] < 0 else "down"].format(
            name=e.class_names[k], size=abs(e.gradient[k])
        )
        for k in shown(e)
    ]
    count, y = others(e)
    if count:  # the label is shown, so all of these are to fall
        found.append(words["rest"].format(count=count, size=y))
    return found


def escape(text: str) -> str:
    """Markdown that shows these characters, whatever they are: a name may hold any."""
    return re.sub(r"([\\`*_{}\[\]<>#|$])", r"\\\1", text)
