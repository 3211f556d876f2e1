"""The way from a matplotlib figure to files and to a piece of the page.

Figures are drawn once and saved as PNG, SVG and PDF. On the page the same SVG is inlined: its
colours become CSS variables, so that it follows light and dark, its text takes the page's font, and
its marks get tool tips.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from testtime.report.style import CATEGORY, GRID, INK, MUTED, PAPER, RAMP, Plate

_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    PAPER: "--paper",
    **{colour: f"--ramp{i}" for i, colour in enumerate(RAMP)},
    **{colour: f"--cat{i}" for i, colour in enumerate(CATEGORY)},
}
_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_COLOUR = re.compile("|".join(re.escape(c) for c in _VARIABLES), re.IGNORECASE)
_NUMBER = re.compile(r"(\d+\.\d{2})\d+")


def freeze(figure: Any) -> None:
    """Lay a figure out once; the layout engine would do it again for every format."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def to_files(plate: Plate, folder: Path) -> str:
    """NAME.png, .svg, .pdf and .csv in a folder; returns the SVG as text."""
    freeze(plate.figure)
    sink = io.StringIO()
    plate.figure.savefig(sink, format="svg", metadata={"Date": None})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{plate.name}.svg").write_text(sink.getvalue(), encoding="utf-8")
    plate.figure.savefig(folder / f"{plate.name}.png", dpi=160)
    plate.figure.savefig(folder / f"{plate.name}.pdf", metadata={"CreationDate": None})
    plate.table.to_csv(folder / f"{plate.name}.csv", index=False)
    return sink.getvalue()


def inline(plate: Plate, svg: str, prefix: str) -> str:
    """The figure's SVG as an element of the page, ids beginning with `prefix`; the XML writer
    escapes all texts.
    """
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _LINK)
    root = ET.fromstring(svg[svg.index("<svg") :])
    backdrop = root.find(f".//{{{_SVG}}}g[@id='patch_1']")
    if backdrop is not None:
        backdrop.clear()  # the page's own paper shows through
    for parent in root.iter():
        for child in list(parent):
            if child.tag == f"{{{_SVG}}}metadata":
                parent.remove(child)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", plate.title)
    root.set("data-figure", plate.name)
    for element in root.iter():
        _restyle(element, prefix)
    for gid, texts in plate.tips.items():
        group = root.find(f".//{{{_SVG}}}g[@id='{prefix}-{gid}']")
        marks = [] if group is None else list(group.iter(f"{{{_SVG}}}use"))
        for mark, text in zip(marks, texts, strict=False):
            ET.SubElement(mark, f"{{{_SVG}}}title").text = text
            mark.set("class", "mark")
    return ET.tostring(root, encoding="unicode")


def _restyle(element: ET.Element, prefix: str) -> None:
    """Colours to variables, fonts to the page's, ids that are unique on the page, two decimals."""
    for name, value in list(element.attrib.items()):
        if name == "style":
            value = _COLOUR.sub(lambda m: f"var({_VARIABLES[m.group().lower()]})", value)
            value = re.sub(r"font: (?:(bold|\d+) )?([\d.]+px)[^;]*", _font, value)
        elif name == "id":
            value = f"{prefix}-{value}"
        elif name == f"{{{_LINK}}}href" and value.startswith("#"):
            value = f"#{prefix}-{value[1:]}"
        elif name == "clip-path":
            value = value.replace("url(#", f"url(#{prefix}-")
        elif name in ("d", "x", "y", "points", "transform"):
            value = _NUMBER.sub(r"\1", value)
        element.set(name, value)


def _font(match: re.Match[str]) -> str:
    weight, size = match.groups()
    return f"font-size: {size}" + ("; font-weight: 650" if weight else "")
