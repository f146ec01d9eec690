"""doctor --html: the findings of `doctor --json` on one page, with thumbnails."""

import json
import shutil

from PIL import Image

from crossent.report.doctor import write_page
from tests.data.pictures import make_folder, scene
from tests.evaluation.parts import crossent
from tests.report.parts import HOSTILE, Page


def test_every_finding_is_on_the_page_with_its_pictures(tmp_path):
    """A leak, a picture under two labels, one twice in a class, a turned one and a text."""
    root, html, exif = tmp_path / "pictures", tmp_path / "doctor.html", Image.Exif()
    for split, seed in (("train", 0), ("val", 90)):
        make_folder(root / split, {"dog": 6, "fox": 6}, seed)
    shutil.copy(root / "train/dog/000.jpg", root / "val/dog/leak.jpg")
    shutil.copy(root / "train/dog/001.jpg", root / "train/fox/label.jpg")
    shutil.copy(root / "train/fox/002.jpg", root / "train/fox/twice.jpg")
    exif[0x0112] = 6
    scene(50).save(root / "train/dog/turned.jpg", exif=exif)
    (root / "train/fox/page.jpg").write_text("<html>")
    out, err = crossent("doctor", root, "--json", "--html", html, status=1)
    found, page = json.loads(out), Page(html.read_text(encoding="utf-8"))
    assert f"{html}: open it in a browser" in err
    assert {"fix", "unusable", "pairs", "odd", "classes"} <= {*page.ids}
    assert {link["href"].removeprefix("#") for link in page.all("a")} <= {*page.ids}
    for text in (*found["repairs"], *found["warnings"], "not a picture but HTML",
                 "the same file, in train and val", "the same file, under two labels"):  # fmt: skip
        assert text in page.text
    shown = [image["title"] for image in page.all("img")]
    for pair in found["duplicates"]:
        assert set(pair["paths"]) < set(shown)
    assert "train/dog/turned.jpg" in shown
    page.check_nothing_is_loaded_or_run()


def test_a_folder_without_findings_and_hostile_names(tmp_path):
    found = {
        "root": str(tmp_path), "num_images": 0, "unusable": [], "odd": [], "duplicates": [],
        "classes": {name: {"train": 1, "val": 0} for name in HOSTILE}, "repairs": [],
        "warnings": [],
    }  # fmt: skip

    def page_of(**more):
        write_page(found | more, tmp_path / "doctor.html")
        page = Page((tmp_path / "doctor.html").read_text(encoding="utf-8"))
        page.check_nothing_is_loaded_or_run()
        return page

    page = page_of()
    assert "No problems found." in page.text and {*page.ids} >= {"fix", "classes"}
    assert "pairs" not in page.ids and HOSTILE[0] in page.text
    across = {"across_classes": True, "across_splits": True}
    pair = {"paths": [HOSTILE[0], HOSTILE[6]], "kind": "same", **across}
    unusable = [{"path": name, "reason": name} for name in HOSTILE]
    page = page_of(duplicates=[pair], unusable=unusable)
    assert not page.all("img"), "they are no files"
    assert {*page.ids} >= {"unusable", "pairs"}
    assert "the same file, in train and val, under two labels" in page.text
