"""From a model's name to what a run needs of it: where it is, its tokenizer, its config, and a
fingerprint.

A name is a zoo model (`testtime models` lists them), a local folder in Hugging Face form, or a hub
id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testtime import zoo
from testtime.errors import UserError, suggest

_EDGE = 1 << 20  # bytes hashed at either end of a weights file


@dataclass(frozen=True)
class Model:
    """A resolved model. source: folder or hub id, as engines take it; fingerprint: what its chains
    are keyed by; tokenizer: None where a server keeps it.
    """

    name: str
    source: str
    revision: str | None
    tokenizer: Any
    config: dict[str, Any]
    fingerprint: str

    @property
    def folder_name(self) -> str:
        """The model's name as a folder of a run."""
        return (
            Path(self.name).name
            if Path(self.name).is_absolute()
            else self.name.strip("./").replace("/", "--")
        )


def resolve(name: str, revision: str | None = None) -> Model:
    """Find a model and load its tokenizer and config (no weights).

    Raises UserError when there is neither such a zoo model, nor such a folder, nor such a hub model
    within reach.
    """
    import transformers

    if name in zoo.names():
        return _shipped(name)
    if (Path(name) / "config.json").is_file():
        source = name
    elif (
        Path(name).is_absolute()
        or name.startswith(".")
        or name.count("/") != 1
        or name.split("/")[0] in _zoo_families()
    ):
        raise UserError(
            f"model {name}: no such zoo model, and no folder with a config.json "
            f"there{suggest(name, zoo.names())}"
        )
    else:
        source = name  # a hub id
    if Path(source).is_dir():  # read in moments; a download keeps its bar
        transformers.utils.logging.disable_progress_bar()
    try:
        config = transformers.AutoConfig.from_pretrained(source, revision=revision)
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, revision=revision)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UserError(
            f"model {name}: cannot be loaded ({' '.join(str(error).split())[:200]}); "
            f"give a zoo model, a local folder or a hub id within reach"
        ) from None
    mark = (
        _folder_fingerprint(Path(source))
        if Path(source).is_dir()
        else f"{source}@{getattr(config, '_commit_hash', None) or revision}"
    )
    return Model(name, source, revision, tokenizer, config.to_dict(), mark)


def _shipped(name: str) -> Model:
    """A zoo model, whose config.json says everything: the Auto classes would import torch, which
    takes longer than all else that looks at a run.
    """
    import transformers

    transformers.utils.logging.disable_progress_bar()  # of its weights, read in moments
    folder = zoo.path(name)
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Model(name, str(folder), None, tokenizer, config, _folder_fingerprint(folder))


def served(name: str) -> Model:
    """A model that a server keeps to itself: a name, and nothing to tokenize or count FLOPs
    with.
    """
    return Model(name, name, None, None, {}, f"served:{name}")


def decoder(tokenizer: Any, special: bool = False) -> Callable[[Sequence[int]], str]:
    """Token ids to text, `special` tokens left out or not. A server that keeps its tokenizer gives
    text.
    """
    options = {"skip_special_tokens": not special, "clean_up_tokenization_spaces": False}
    return lambda ids: str(tokenizer.decode(list(ids), **options))


def _zoo_families() -> set[str]:
    return {name.split("/")[0] for name in zoo.names()}


def _folder_fingerprint(folder: Path) -> str:
    """A hash of config, tokenizer, and each weights file's size and edges: retrained weights
    differ, copies do not.
    """
    digest = hashlib.blake2b(digest_size=12)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    digest.update(json.dumps(config, sort_keys=True).encode())
    for file in sorted(folder.iterdir()):
        if file.suffix in (".safetensors", ".bin") or file.name in (
            "tokenizer.json",
            "chat_template.jinja",
        ):
            size = file.stat().st_size
            with file.open("rb") as data:
                digest.update(f"{file.name}:{size}".encode() + data.read(_EDGE))
                if size > _EDGE:
                    data.seek(max(_EDGE, size - _EDGE))
                    digest.update(data.read())
    return digest.hexdigest()
