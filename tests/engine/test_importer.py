"""Base images from tars: from files and URLs, with changes, for other platforms."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from minidock.core.config import ContainerConfig, HistoryEntry
from minidock.core.platform import Platform
from minidock.core.process import DEFAULT_PATH
from minidock.engine import images
from minidock.engine.importer import ImportRequest, downloaded, import_image
from minidock.engine.workspace import Workspace
from minidock.errors import InvalidRequest, MinidockError
from tests.engine.building import base_tar, check_consistent, content_of, workspace
from tests.engine.served import Served, web_server

PATH = f"PATH={DEFAULT_PATH}"


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "store")


def test_an_import_is_one_layer_with_the_config_that_was_asked_for(ws: Workspace) -> None:
    changes = ("ENV A=b", 'CMD ["sh"]', "WORKDIR /w")
    request = ImportRequest("a:1", "why", changes, Platform("linux", "arm", "v7"), source_date_epoch=86400)
    image_id = import_image(ws, io.BytesIO(base_tar()), request)
    config = images.find(ws, "a:1").config
    assert (config.os, config.architecture, config.variant) == ("linux", "arm", "v7")
    assert config.config == ContainerConfig(env=(PATH, "A=b"), cmd=("sh",), working_dir="/w")
    assert config.history == (HistoryEntry("1970-01-02T00:00:00Z", comment="why"),)
    assert import_image(ws, io.BytesIO(base_tar()), request) == image_id


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_an_import_may_come_from_a_url(ws: Workspace, compress: Callable[[bytes], bytes]) -> None:
    with web_server({"/base.tar": Served(compress(base_tar()))}) as web, downloaded(f"{web.url}/base.tar") as stream:
        image_id = import_image(ws, stream, ImportRequest("a:1"))
    assert content_of(ws, image_id, "bin/sh") == b"#!shell"


def test_a_download_that_fails_leaves_no_image(ws: Workspace) -> None:
    whole = base_tar()
    with web_server({"/cut.tar": Served(whole, cut=len(whole) // 2)}) as web:
        for path, problem in (("cut.tar", "EOF|bytes came|IncompleteRead"), ("none.tar", "status 404")):
            with pytest.raises(MinidockError, match=problem), downloaded(f"{web.url}/{path}") as stream:
                import_image(ws, stream, ImportRequest("a:1"))
    assert ws.store.images.list() == ()
    check_consistent(ws.store)


def test_a_change_that_is_none_is_found_before_anything_is_stored(ws: Workspace) -> None:
    with pytest.raises(InvalidRequest, match="run is not a valid change command"):
        import_image(ws, io.BytesIO(base_tar()), ImportRequest("a:1", changes=("RUN x",)))
    assert not ws.store.exists
