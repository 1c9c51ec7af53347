"""Forms of layers: how each has been packed elsewhere, and which registries have that. ``forms/HEX``, by diff_id.

Derived data, which saves packing and uploading: what cannot be read costs that.
"""

from __future__ import annotations

import json

from minidock.core.canonical import dumps
from minidock.core.descriptor import Descriptor
from minidock.core.digest import Digest
from minidock.core.packing import Form, remembered
from minidock.errors import InvalidDigest, StoreError
from minidock.store.layout import Layout
from minidock.store.session import Session

_VERSION = 1
_LARGEST = 1 << 20


class Forms:
    """What is known of the layers of a store."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def get(self, diff_id: Digest) -> tuple[Form, ...]:
        """Return the known forms of a layer, those found last at the end."""
        try:
            with open(self._layout.forms(diff_id), "rb") as file:
                members = json.loads(file.read(_LARGEST))
            if members["version"] != _VERSION:
                return ()
            return tuple(
                Form(Descriptor.from_json(item["blob"]), str(item["made"]), tuple(map(str, item["repositories"])))
                for item in members["forms"]
            )
        except FileNotFoundError:
            return ()
        except (ValueError, KeyError, TypeError, StoreError, InvalidDigest):
            return ()  # torn: it is made again

    def remember(self, session: Session, diff_id: Digest, form: Form) -> None:
        """Add a form, or repositories to one that is known. Of two processes that do so at once one may be lost."""
        before = self.get(diff_id)
        after = remembered(before, form)
        if after == before:
            return
        session.pin([diff_id])
        listed = [
            {"blob": item.blob.to_json(), "made": item.made, "repositories": list(item.repositories)} for item in after
        ]
        session.replace(self._layout.forms(diff_id), dumps({"version": _VERSION, "forms": listed}), is_durable=False)
