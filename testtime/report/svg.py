"""The way from a matplotlib figure to files and to a piece of the page.

Figures are drawn once and saved as PNG, SVG and PDF. On the page the same SVG is inlined: colours
of the house palette become classes, which the page's style sheet colours by day and by night; a
colour that stands for a number (ids that begin with "data-") stays what it is. Text takes the
page's font, and marks get tool tips.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

from testtime.storage import sheets
from testtime.style import CATEGORY, DPI, GRID, INK, MUTED, PAPER, RAMP, Chart, freeze

NAMES = {  # colour -> the name of its class and CSS variable
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    PAPER: "paper",
    **{colour: f"ramp{i}" for i, colour in enumerate(RAMP)},
    **{colour: f"cat{i}" for i, colour in enumerate(CATEGORY)},
}
_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_NUMBER = re.compile(r"(\d+\.\d{2})\d+")


def style_sheet() -> str:
    """The classes that `inline` gives: f-NAME fills and s-NAME strokes with --NAME."""
    rules = ((k, p, n) for k, p in (("f", "fill"), ("s", "stroke")) for n in NAMES.values())
    return "".join(f".{kind}-{name}{{{part}:var(--{name})}}" for kind, part, name in rules)


def to_files(chart: Chart, folder: Path) -> str:
    """NAME.png, .svg, .pdf and .csv in a folder; returns the SVG as text."""
    freeze(chart.figure)
    sink = io.StringIO()
    chart.figure.savefig(sink, format="svg", metadata={"Date": None})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{chart.name}.svg").write_text(sink.getvalue(), encoding="utf-8")
    quick = {"compress_level": 3}  # a tenth larger than the default, in half the time
    chart.figure.savefig(folder / f"{chart.name}.png", dpi=DPI, pil_kwargs=quick)
    chart.figure.savefig(folder / f"{chart.name}.pdf", metadata={"CreationDate": None})
    sheets.write(chart.table, folder / f"{chart.name}.csv")
    return sink.getvalue()


def inline(chart: Chart, svg: str, prefix: str) -> str:
    """The figure's SVG as an element of the page, ids beginning with `prefix`; the XML writer
    escapes all texts.
    """
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _LINK)
    root = ET.fromstring(svg[svg.index("<svg") :])
    backdrop = root.find(f".//{{{_SVG}}}g[@id='patch_1']")
    if backdrop is not None:
        backdrop.clear()  # the page's own paper shows through
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", chart.title)
    root.set("data-figure", chart.name)
    _restyle(root, prefix, True)
    groups = {group.get("id"): group for group in root.iter(f"{{{_SVG}}}g")}
    for gid, texts in chart.tips.items():
        group = groups.get(f"{prefix}-{gid}")
        marks = [] if group is None else list(group.iter(f"{{{_SVG}}}use"))
        for mark, text in zip(marks, texts, strict=False):
            ET.SubElement(mark, f"{{{_SVG}}}title").text = text
            mark.set("class", f"{mark.get('class', '')} mark".strip())
    return ET.tostring(root, encoding="unicode")


def _restyle(element: ET.Element, prefix: str, palette: bool) -> None:
    """Colours to classes where they are the palette's, fonts to the page's, ids that are unique on
    the page, two decimals.
    """
    palette = palette and not element.get("id", "").startswith("data-")
    for name, value in list(element.attrib.items()):
        if name == "style":
            value = re.sub(r"font: (?:(bold|\d+) )?([\d.]+px)[^;]*", _font, value)
            value = _classes(element, value) if palette else value
        elif name == "id":
            value = f"{prefix}-{value}"
        elif name == f"{{{_LINK}}}href" and value.startswith("#"):
            value = f"#{prefix}-{value[1:]}"
        elif name == "clip-path":
            value = value.replace("url(#", f"url(#{prefix}-")
        elif name in ("d", "x", "y", "points", "transform"):
            value = _NUMBER.sub(r"\1", value)
        element.set(name, value)
    for child in element:
        _restyle(child, prefix, palette)


def _classes(element: ET.Element, style: str) -> str:
    """Give an element the classes of its palette colours; returns what else its style says."""
    kept, classes = [], []
    for rule in filter(None, (part.strip() for part in style.split(";"))):
        part, _, colour = rule.partition(": ")
        name = NAMES.get(colour.lower()) if part in ("fill", "stroke") else None
        if name:
            classes.append(f"{part[0]}-{name}")
        else:
            kept.append(rule)
    if classes:
        element.set("class", " ".join(classes))
    return "; ".join(kept)


def _font(match: re.Match[str]) -> str:
    weight, size = match.groups()
    return f"font-size: {size}" + ("; font-weight: 650" if weight else "")
