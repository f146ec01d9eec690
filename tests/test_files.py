import os
import stat

import pytest

from crossent.files import write_atomic, write_text


def test_new_content_replaces_the_old_and_a_failure_leaves_no_trace(tmp_path):
    path = tmp_path / "file.txt"
    before = os.umask(0o027)
    try:
        write_text(path, "old")
        write_text(path, "新しい")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640, "the permissions follow the umask"

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, fail)
    assert path.read_text(encoding="utf-8") == "新しい"
    assert os.listdir(tmp_path) == ["file.txt"]
