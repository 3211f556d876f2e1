"""Inspect's logs: both forms, zstd members, verdicts, tokens, attachments; damaged ones are one
line.
"""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from testtime.errors import UserError
from testtime.importers import import_inspect
from testtime.runs import transcripts


def log(
    samples: list[dict[str, Any]], effort: str | None = None, accuracy: float | None = None
) -> dict[str, Any]:
    metrics = {"accuracy": {"name": "accuracy", "value": accuracy}}
    scores = (
        [{"name": "match", "scorer": "match", "reducer": "mean", "metrics": metrics}]
        if accuracy is not None
        else []
    )
    generate = {"reasoning_effort": effort} if effort else {}
    evaluation = {"task": "sums", "model": "lab/model", "model_generate_config": generate}
    return {
        "version": 2,
        "status": "success",
        "eval": evaluation,
        "results": {"scores": scores},
        "samples": samples,
    }


def sample(name: str, epoch: int, value: Any, answer: str = "4", **more: Any) -> dict[str, Any]:
    content = [
        {"type": "reasoning", "reasoning": f"thinking of {name}"},
        {"type": "text", "text": f"It is {answer}"},
    ]
    usage = {
        "input_tokens": 10,
        "output_tokens": 30,
        "reasoning_tokens": 20,
        "input_tokens_cache_read": 5,
    }
    return {
        "id": name,
        "epoch": epoch,
        "input": "attachment://abc",
        "attachments": {"abc": f"What is {name}?"},
        "target": ["4", "four"],
        "scores": {"match": {"value": value, "answer": answer}},
        "output": {"choices": [{"message": {"content": content}}]},
        "model_usage": {"lab/model": usage},
        **more,
    }


def write(path: Path, data: dict[str, Any]) -> Path:
    path.write_text(json.dumps(data))
    return path


def test_scores_tokens_and_texts_are_read(tmp_path: Path) -> None:
    samples = [
        sample("a", 1, "C"),
        sample("a", 2, "I", "5"),
        sample("b", 1, "P"),
        sample("b", 2, "N", ""),
    ]
    run = import_inspect([write(tmp_path / "log.json", log(samples, accuracy=0.5))], tmp_path)
    scores = run.scores.set_index(["problem_id", "sample"]).sort_index()
    assert scores["score"].tolist() == [1.0, 0.0, 0.5, 0.0]
    assert scores["verdict"].tolist() == ["correct", "wrong", "wrong", "unparsed"]
    assert (
        scores["answer_key"].tolist()[:2] == ["4", "5"] and scores["answer_key"].isna().tolist()[3]
    )
    assert scores[["thinking_tokens", "answer_tokens", "prompt_tokens"]].iloc[0].tolist() == [
        20,
        10,
        15,
    ]
    assert run.manifest.imported.printed == [
        {"metric": "match accuracy", "printed": 0.5, "here": 0.375}
    ]
    told = next(iter(transcripts.read(run.path, run.scores, ["a"])))
    assert (told.question, told.gold) == ("What is a?", "4, four")
    assert (
        told.chains[0].segments == [(20, "thinking of a")]
        and told.chains[0].answers[0].text == "It is 4"
    )


def test_google_counts_reasoning_apart_from_output(tmp_path: Path) -> None:
    entry = sample("a", 1, "C")
    entry["model_usage"] = {"google/gemini": entry["model_usage"]["lab/model"]}
    data = log([entry])
    data["eval"]["model"] = "google/gemini"
    run = import_inspect([write(tmp_path / "log.json", data)], tmp_path)
    assert run.scores[["thinking_tokens", "answer_tokens"]].iloc[0].tolist() == [20, 30]


def test_failed_and_unscored_samples_are_unknown_not_wrong(tmp_path: Path) -> None:
    samples = [sample(name, epoch, "C") for name in "abc" for epoch in (1, 2)]
    samples[3] = sample("b", 2, "I", error={"message": "lost"})
    samples[4]["scores"] = {}
    run = import_inspect([write(tmp_path / "log.json", log(samples))], tmp_path)
    assert run.scores["verdict"].value_counts().to_dict() == {
        "correct": 4,
        "error": 1,
        "missing": 1,
    }
    assert run.scores["score"].isna().sum() == 2
    assert run.cells["value"].tolist() == [1.0] * len(run.cells)


def test_a_problem_that_was_never_scored_is_left_out_and_named(tmp_path: Path) -> None:
    samples = [sample("a", 1, "I"), sample("b", 1, "C", error={"message": "lost"})]
    run = import_inspect([write(tmp_path / "log.json", log(samples))], tmp_path)
    assert run.scores["problem_id"].tolist() == ["a"] and run.manifest.left_out == [
        "problem b: no sample of it was scored"
    ]


def test_logs_of_several_efforts_become_settings_of_one_run(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"{e}.json", log([sample("a", 1, "C")], effort=e)) for e in ("low", "high")
    ]
    run = import_inspect(paths, tmp_path)
    assert (
        sorted(run.scores["setting"]) == ["effort=high", "effort=low"]
        and run.cells["budget"].isna().all()
    )


def zstd_archive(path: Path, members: dict[str, bytes], damage: bool = False) -> Path:
    """A zip whose members are packed with method 93, as newer Inspect writes them; made by hand,
    for zipfile cannot.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            packed = pa.Codec("zstd").compress(content, asbytes=True)
            archive.writestr(
                name,
                packed[:-4] + b"\0\0\0\0" if damage and name.startswith("samples/") else packed,
            )
    raw = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    at = raw.index(b"PK\x01\x02")
    for info in infos:
        struct.pack_into("<H", raw, info.header_offset + 8, 93)
        struct.pack_into("<H", raw, at + 10, 93)
        struct.pack_into("<I", raw, at + 24, len(members[info.filename]))
        name, extra, comment = struct.unpack_from("<HHH", raw, at + 28)
        at += 46 + name + extra + comment
    path.write_bytes(raw)
    return path


def members(samples: list[dict[str, Any]]) -> dict[str, bytes]:
    data = log(samples, accuracy=1.0)
    del data["samples"]
    parts = {f"samples/{s['id']}_epoch_{s['epoch']}.json": json.dumps(s).encode() for s in samples}
    return {"header.json": json.dumps(data).encode(), **parts}


def test_zstd_archives_are_read(tmp_path: Path) -> None:
    path = zstd_archive(tmp_path / "log.eval", members([sample("a", 1, "C"), sample("b", 1, "C")]))
    run = import_inspect([path], tmp_path)
    assert run.scores["score"].tolist() == [1.0, 1.0]


def test_what_cannot_be_imported_is_one_line(tmp_path: Path) -> None:
    good = members([sample("a", 1, "C")])
    with pytest.raises(UserError, match="is damaged"):
        import_inspect([zstd_archive(tmp_path / "damaged.eval", good, damage=True)], tmp_path)
    (tmp_path / "text.json").write_text("not JSON")
    for name, data, said in (
        ("other.json", {"a": 1}, "not an Inspect log"),
        ("none.json", log([]), "holds no samples"),
        ("unscored.json", log([{**sample("a", 1, "C"), "scores": {}}]), "nothing to import"),
    ):
        with pytest.raises(UserError, match=said):
            import_inspect([write(tmp_path / name, data)], tmp_path)
    for path in (tmp_path / "text.json", tmp_path / "absent.json"):
        with pytest.raises(UserError, match="cannot be read"):
            import_inspect([path], tmp_path)
    with pytest.raises(UserError, match="did you mean 'match'"):
        import_inspect(
            [write(tmp_path / "log.json", log([sample("a", 1, "C")]))], tmp_path, scorer="matsch"
        )


@pytest.mark.parametrize(
    ("name", "accuracy"),
    [
        ("generated_gsm8k_v0.3.285.json", 1 / 3),
        ("generated_gsm8k_v0.3.285_zstd.eval", 1 / 3),
        ("2025-05-12T20-28-13-04-00_popularity.json", 2 / 3),
        ("log_formats.eval", 0.0),
        ("log_formats.json", 0.0),
        ("mmlu-summary-choices.eval", 0.0),
    ],
)
def test_real_logs_give_the_accuracy_that_inspect_printed(
    shared_data: Path, tmp_path: Path, name: str, accuracy: float
) -> None:
    run = import_inspect([shared_data / "logs" / "inspect" / name], tmp_path)
    (entry,) = run.manifest.imported.printed
    assert entry["printed"] == pytest.approx(accuracy) and entry["here"] == pytest.approx(accuracy)
    first = run.cells[(run.cells["n"] == 1) & (run.cells["selector"] == "oracle")]
    assert first["value"].tolist() == [pytest.approx(accuracy)]
