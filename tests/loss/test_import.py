"""`cross_entropy` is the function, though its module has the same name; torch waits for it."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "before",
    [
        "pass",
        "import crossent.loss.cross_entropy",
        "from crossent.loss.cross_entropy import CrossEntropyLoss",
        "from crossent.loss import CrossEntropyLoss",
        "import crossent; crossent.cross_entropy",
        "import crossent.loss.blocked",
    ],
)
def test_the_name_is_the_function_whatever_was_imported_before(before):
    code = f"{before}\nfrom types import FunctionType\nfrom crossent.loss import cross_entropy\n"
    code += "import crossent; assert crossent.cross_entropy is cross_entropy\n"
    code += (
        "import crossent.loss.cross_entropy\nassert crossent.loss.cross_entropy is cross_entropy"
    )
    code += "\nassert type(cross_entropy) is FunctionType"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_equations_answer_without_loading_torch():
    code = "import sys, crossent.loss.article; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
