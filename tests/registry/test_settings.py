"""registries.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidock.errors import MinidockError
from minidock.registry.settings import Host, Settings, read_settings


def test_the_first_file_that_exists_counts(tmp_path: Path) -> None:
    (tmp_path / "b").write_text('["docker.io"]\nmirrors = ["https://m.example"]\n["r:5000"]\nplain-http = true\n')
    (tmp_path / "c").write_text("nonsense")
    found = read_settings([str(tmp_path / name) for name in "abc"])
    assert found == Settings({"docker.io": Host(("https://m.example",)), "r:5000": Host(is_plain=True)})
    assert (found.of("docker.io").mirrors, found.of("other")) == (("https://m.example",), Host())
    assert read_settings([str(tmp_path / "a")]) == Settings()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[", "Expected|Invalid|expected"),
        ('["r"]\nmirror = []\n', "unknown key 'mirror' of r"),
        ('["r"]\nverify = "no"\n', "verify of r is to be a bool"),
        ('["r"]\nmirrors = [1]\n', "mirrors of r are to be texts"),
        ('["r/x"]\n', "no table with the name of a registry"),
        ("r = 1\n", "no table with the name of a registry"),
    ],
)
def test_mistakes_are_named_with_their_file(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "f").write_text(text)
    with pytest.raises(MinidockError, match=problem) as caught:
        read_settings([str(tmp_path / "f")])
    assert str(caught.value).startswith(f"{tmp_path}/f: ")
