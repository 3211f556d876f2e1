"""Rows from local files of every kind, reasoning-gym, and the hub without a network."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest

from testtime.errors import UserError
from testtime.tasks.loaders import rows
from testtime.tasks.spec import FileLoader, GymLoader, HubLoader

ROWS = [{"q": "one", "a": "1"}, {"q": "zwei, „zwei“", "a": "2"}]


def read(path: Path, records: str | None = None) -> list[dict[str, object]]:
    return list(rows(FileLoader(kind="file", path=str(path), records=records), 0, None, "here"))


def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = "\n".join(json.dumps(row) for row in ROWS)
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["q", "a"])
        writer.writeheader()
        writer.writerows(ROWS)
    for path in sorted(tmp_path.iterdir()):
        assert read(path) == ROWS, path
    assert len(read(tmp_path)) == 5 * len(ROWS)  # a folder is all of its files


def test_a_json_names_the_key_of_its_list(tmp_path: Path) -> None:
    path = tmp_path / "bbh.json"
    path.write_text(json.dumps({"canary": "x", "examples": ROWS}))
    assert read(path, "examples") == ROWS
    with pytest.raises(UserError, match=r"loader.records"):
        read(path)
    with pytest.raises(UserError, match="key 'rows' holds no list"):
        read(path, "rows")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b'{"q": 1}\n{"q": ', "a.jsonl line 2: not valid JSON"),
        ("a.jsonl", b"[1]\n", "a.jsonl line 1: expected an object"),
        ("a.jsonl.gz", b"no gzip", "cannot be read"),
        ("a.parquet", b"no parquet", "not a readable Parquet file"),
        ("a.txt", b"x", "unknown kind of file"),
        (
            "a.csv",
            b"# a.csv\nquestion,answer\n1,2\n",
            r"a.csv line 2: more values than columns; .* columns: # a.csv",
        ),
        ("a.jsonl", b"\xff\xfe", "cannot be read"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        read(path)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file ending in"):
        read(tmp_path)


def test_reasoning_gym_is_deterministic_and_its_settings_are_checked() -> None:
    pytest.importorskip("reasoning_gym")

    def draw(seed: int, limit: int | None = None, **settings: object) -> list[str]:
        loader = GymLoader(kind="reasoning_gym", dataset="chain_sum", size=8, settings=settings)
        return [row["question"] for row in rows(loader, seed, limit, "here")]

    assert draw(1, min_terms=2, max_terms=3) == draw(1, min_terms=2, max_terms=3)
    assert draw(1) != draw(2)
    assert draw(1, 3) == draw(1)[:3]
    with pytest.raises(UserError, match="no setting 'max_term'; did you mean 'max_terms'"):
        draw(1, max_term=3)
    with pytest.raises(UserError, match="refuses these settings of chain_sum"):
        draw(1, min_terms=9, max_terms=3)
    with pytest.raises(UserError, match="no data set 'chain_sums'; did you mean 'chain_sum'"):
        list(rows(GymLoader(kind="reasoning_gym", dataset="chain_sums"), 0, None, "here"))


def test_the_hub_out_of_reach_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def absent(*args: object, **kwargs: object) -> str:
        raise OSError("no network here")

    monkeypatch.setattr(hub, "hf_hub_download", absent)
    loader = HubLoader(kind="hub", dataset="a/b", revision="0" * 40, files=["x.jsonl"])
    with pytest.raises(UserError, match=r"neither in the local cache nor reachable.*overrides"):
        rows(loader, 0, None, "benchmark b")
    with pytest.raises(UserError, match=r"is gated: log in to the hub, accept the terms"):
        rows(loader.model_copy(update={"gated": True}), 0, None, "benchmark b")


def test_the_hub_reads_its_cache_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    (tmp_path / "x.jsonl").write_text(json.dumps(ROWS[0]))
    asked: list[bool] = []

    def download(
        repo: str, name: str, *, repo_type: str, revision: str, local_files_only: bool
    ) -> str:
        assert (repo, repo_type, revision) == ("a/b", "dataset", "0" * 40)
        asked.append(local_files_only)
        return str(tmp_path / name)

    monkeypatch.setattr(hub, "hf_hub_download", download)
    loader = HubLoader(kind="hub", dataset="a/b", revision="0" * 40, files=["x.jsonl"])
    assert list(rows(loader, 0, None, "here")) == ROWS[:1]
    assert asked == [True]
