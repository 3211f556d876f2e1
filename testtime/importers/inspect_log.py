"""Logs of Inspect (inspect_ai): .json files, and .eval archives (zip; newer ones packed with zstd,
method 93).

A log comes from anywhere: its members are unpacked up to a limit, and one that is not as Inspect
writes it is refused in one line.
Python's zipfile knows no zstd before 3.14, so members are unpacked here with pyarrow's. Several
logs of one task (one for each reasoning effort, say) become one run with a setting each.
"""

from __future__ import annotations

import contextlib
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testtime.errors import UserError, suggest
from testtime.importers.log import Log, save

if TYPE_CHECKING:
    from testtime.runs.run import Run

Data = dict[str, Any]
ZSTD = 93
LARGEST = 1 << 30  # bytes of one member, and of all together, once unpacked
GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}  # inspect's own values: N is no answer
BAD_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError)
APART = ("google/", "vertex/")  # providers whose output tokens leave out the reasoning tokens


def import_inspect(
    paths: Sequence[str | Path], out: str | Path = "runs", *, scorer: str | None = None
) -> Run:
    """One log, or several of one task, as a run directory. scorer: default the log's first.

    Raises UserError for a file that is no such log, one without scored samples, an unknown scorer,
    and several tasks.
    """
    import pandas as pd

    logs = [(Path(path), _load(Path(path))) for path in paths]
    tasks = {str(log["eval"].get("task") or "inspect") for _, log in logs}
    if len(tasks) > 1:
        raise UserError(
            f"{paths[0]}: the logs are of several tasks ({', '.join(sorted(tasks))}); import each "
            f"by itself"
        )
    rows: list[Data] = []
    problems: dict[str, tuple[str, str]] = {}
    printed = []
    for path, log in logs:
        with _well_formed(path):
            chosen = _scorer(path, log, scorer)
        with _well_formed(path):
            own = [_row(sample, log["eval"], chosen) for sample in log["samples"]]
            for sample in log["samples"]:
                problems[str(sample["id"])] = (_asked(sample), _joined(sample.get("target")))
            printed += _printed(log, chosen, own)
        rows += own
    if not any(row["score"] is not None for row in rows):
        raise UserError(
            f"{paths[0]}: no sample of this log was scored, so there is nothing to import"
        )
    scores = pd.DataFrame(rows)
    return save(
        Log(tasks.pop(), "inspect", [str(p) for p, _ in logs], scores, problems, printed), out
    )


def _load(path: Path) -> Data:
    """A log with its samples, whichever form it has."""
    try:
        if zipfile.is_zipfile(path):
            return _archive(path)
        log = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, RecursionError, NotImplementedError, *BAD_ZIP) as error:
        raise UserError(
            f"{path}: cannot be read as an Inspect log ({error}); give its .eval or .json file"
        ) from None
    if not isinstance(log, dict) or not isinstance(log.get("eval"), dict):
        raise UserError(f"{path}: not an Inspect log: it has no key 'eval'")
    if not log.get("samples"):
        raise UserError(
            f"{path}: this log holds no samples; Inspect writes them unless told --no-log-samples"
        )
    if not isinstance(log["samples"], list):
        raise UserError(f"{path}: not an Inspect log: its samples are no list")
    return log


@contextlib.contextmanager
def _well_formed(path: Path) -> Iterator[None]:
    """Makes one line of what a log with other types or keys than Inspect's does to its reader."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        said = f"{type(error).__name__}: {error}"[:120]
        raise UserError(f"{path}: not as Inspect writes its logs ({said})") from None


def _archive(path: Path) -> Data:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > LARGEST:
            raise UserError(f"{path}: would unpack to {unpacked / 1e9:.1f} GB, which is no log")
        head = (
            "header.json" if "header.json" in names else "_journal/start.json"
        )  # the latter where the run was cut off
        if head not in names:
            raise UserError(f"{path}: not an Inspect log: it has no header.json")
        log: Data = json.loads(_member(path, archive, head))
        if not isinstance(log, dict):
            raise UserError(f"{path}: not an Inspect log: its {head} holds no mapping")
        log["samples"] = [
            json.loads(_member(path, archive, n)) for n in sorted(names) if n.startswith("samples/")
        ]
    if not log["samples"]:
        raise UserError(
            f"{path}: this log holds no samples; Inspect writes them unless told --no-log-samples"
        )
    return log


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.compress_type != ZSTD:
        with archive.open(name) as member:  # at most what the directory says, whatever is inside
            return member.read(info.file_size + 1)
    import pyarrow as pa

    with path.open("rb") as file:
        file.seek(info.header_offset)
        head = file.read(
            30
        )  # the local header: its name and extra lengths may differ from the directory's
        name_length, extra_length = struct.unpack("<HH", head[26:30])
        file.seek(info.header_offset + 30 + name_length + extra_length)
        packed = file.read(info.compress_size)
    try:
        unpacked = pa.Codec("zstd").decompress(packed, decompressed_size=info.file_size)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path}: {name} in it is damaged ({error})") from None
    return bytes(unpacked)


def _scorer(path: Path, log: Data, wanted: str | None) -> str:
    known = list(dict.fromkeys(name for s in log["samples"] for name in s.get("scores") or {}))
    if wanted is not None and wanted not in known:
        raise UserError(f"{path}: no scorer {wanted!r} in this log{suggest(wanted, known)}")
    if not known:
        raise UserError(f"{path}: no sample of this log was scored, so there is nothing to import")
    return wanted or known[0]


def _row(sample: Data, evaluation: Data, scorer: str) -> Data:
    score = (sample.get("scores") or {}).get(scorer)
    value = _value(score["value"]) if score else None
    failed = bool(sample.get("error"))
    verdict = (
        "error" if failed else "missing" if value is None else "correct" if value == 1 else "wrong"
    )
    if verdict == "wrong" and score and score.get("answer") in (None, ""):
        verdict = "unparsed"
    model = str(evaluation.get("model", "model"))
    settings = evaluation.get("model_generate_config") or {}
    effort, budget = settings.get("reasoning_effort"), settings.get("reasoning_tokens")
    thinking, text = _written(sample)
    return {
        "problem_id": str(sample["id"]),
        "model": model,
        "setting": f"effort={effort}" if effort else "",
        "budget": float(budget) if budget else float("nan"),
        "sample": int(sample.get("epoch", 1)) - 1,
        "score": None if failed else value,
        "answer_key": None
        if score is None or score.get("answer") in (None, "")
        else str(score["answer"]),
        **_tokens(sample, model),
        "seconds": sample.get("working_time"),
        "verdict": verdict,
        "thinking": thinking,
        "text": text,
    }


def _value(value: Any) -> float | None:
    """A score's value as inspect's `value_to_float` reads it; None where it is no single number."""
    if isinstance(value, str):
        if value in GRADES:
            return GRADES[value]
        lowered = value.lower()
        if lowered in ("yes", "true", "no", "false"):
            return float(lowered in ("yes", "true"))
        try:
            return float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, (bool, int, float)) and value == value else None


def _tokens(sample: Data, model: str) -> Data:
    usage = (
        (sample.get("model_usage") or {}).get(model)
        or (sample.get("output") or {}).get("usage")
        or {}
    )
    if not usage:
        return {"thinking_tokens": None, "answer_tokens": None, "prompt_tokens": None}
    reasoning, output = usage.get("reasoning_tokens") or 0, usage.get("output_tokens") or 0
    cached = (usage.get("input_tokens_cache_read") or 0) + (
        usage.get("input_tokens_cache_write") or 0
    )
    answer = output if model.startswith(APART) else max(output - reasoning, 0)
    return {
        "thinking_tokens": reasoning,
        "answer_tokens": answer,
        "prompt_tokens": (usage.get("input_tokens") or 0) + cached,
    }


def _written(sample: Data) -> tuple[str, str]:
    """(reasoning, text) of the last message that the model wrote."""
    choices = (sample.get("output") or {}).get("choices") or []
    content = choices[0]["message"].get("content", "") if choices else ""
    if isinstance(content, str):
        return "", _resolved(content, sample)
    parts = [p for p in content if isinstance(p, dict)]
    thinking = [
        _resolved(str(p.get("reasoning", "")), sample)
        for p in parts
        if p.get("type") == "reasoning"
    ]
    text = [_resolved(str(p.get("text", "")), sample) for p in parts if p.get("type") == "text"]
    return "\n".join(thinking), "\n".join(text)


def _asked(sample: Data) -> str:
    given = sample.get("input", "")
    if isinstance(given, str):
        return _resolved(given, sample)
    return "\n\n".join(
        _resolved(m["content"], sample) for m in given if isinstance(m.get("content"), str)
    )


def _resolved(text: str, sample: Data) -> str:
    """Long strings are kept once, as attachments."""
    for scheme in ("attachment://", "tc://"):
        if text.startswith(scheme):
            return str((sample.get("attachments") or {}).get(text.removeprefix(scheme), text))
    return text


def _joined(target: Any) -> str:
    return (
        ", ".join(map(str, target))
        if isinstance(target, list)
        else str(target if target is not None else "")
    )


def _printed(log: Data, scorer: str, rows: list[Data]) -> list[tuple[str, float, float]]:
    """The log's own mean accuracy beside that of the imported rows (a mean over problems, as its
    reducer takes it).
    """
    import pandas as pd

    for score in (log.get("results") or {}).get("scores", []):
        metric = (score.get("metrics") or {}).get("accuracy") or (score.get("metrics") or {}).get(
            "mean"
        )
        if score.get("name") == scorer and score.get("reducer") in (None, "mean") and metric:
            table = pd.DataFrame(rows)
            here = (
                table.assign(score=table["score"].astype(float))
                .groupby("problem_id")["score"]
                .mean()
                .mean()
            )
            return [(f"{scorer} {metric['name']}", float(metric["value"]), float(here))]
    return []
