"""How far something is, as a bar: ``Downloading [=======>      ]  18.4MB/49.3MB  11.2MB/s  3s``."""

from __future__ import annotations

from minidock.core.units import human_size

_BAR = 30
_STEADY = 0.5  # seconds before a speed means something


class Meter:
    """Remembers when each item began, for its speed."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, str], tuple[float, int]] = {}

    def text(self, item: str, text: str, done: int, total: int, now: float) -> str:
        """Return what to show of an item at ``now``; ``total`` is 0 where it is not known."""
        started, first = self._begun.setdefault((item, text), (now, done))
        speed = (done - first) / (now - started) if now - started >= _STEADY else 0.0
        told = f"  {human_size(int(speed))}/s" if speed else ""
        if not total:
            return f"{text}  {human_size(done)}{told}"
        filled = _BAR * done // total
        bar = f"[{'=' * filled}>".ljust(_BAR + 2)[: _BAR + 1] + "]"
        left = f"  {_seconds((total - done) / speed)}" if speed and done < total else ""
        return f"{text} {bar}  {human_size(done)}/{human_size(total)}{told}{left}"


def _seconds(seconds: float) -> str:
    whole = int(seconds) + 1
    return f"{whole}s" if whole < 60 else f"{whole // 60}m{whole % 60:02}s"
