"""Does a version of vLLM have what the engine uses of it? Read from its source, nothing installed.

    VLLM_TARGET_DEVICE=empty pip download --no-deps --no-binary vllm vllm==0.33.0
    python -m benchmarks.vllm_signatures vllm-*.tar.gz

Takes source archives (.tar.gz), wheels (.whl) or folders that hold the package, and prints one line
each with what is missing; ends with 1 if anything is.
"""

from __future__ import annotations

import ast
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

# Module, class, then its fields, attributes and methods, and arguments as method(argument).
USED = {
    ("engine/arg_utils.py", "EngineArgs"): "model revision dtype max_num_seqs block_size "
    "max_num_batched_tokens enable_prefix_caching enable_chunked_prefill enforce_eager "
    "disable_log_stats stream_interval generation_config reasoning_config reasoning_parser "
    "data_parallel_size max_model_len",
    ("engine/arg_utils.py", "AsyncEngineArgs"): "",
    ("sampling_params.py", "SamplingParams"): "temperature top_p top_k min_p seed max_tokens "
    "presence_penalty frequency_penalty repetition_penalty stop_token_ids ignore_eos logprobs "
    "flat_logprobs detokenize output_kind thinking_token_budget",
    ("sampling_params.py", "RequestOutputKind"): "DELTA FINAL_ONLY",
    ("usage/usage_lib.py", "UsageContext"): "LLM_CLASS",
    ("v1/engine/async_llm.py", "AsyncLLM"): "from_engine_args(engine_args) "
    "from_engine_args(usage_context) generate(prompt) generate(sampling_params) "
    "generate(request_id) generate(data_parallel_rank) shutdown vllm_config",
    ("v1/engine/exceptions.py", "EngineDeadError"): "",
    ("v1/engine/exceptions.py", "EngineGenerateError"): "",
    ("platforms/interface.py", "Platform"): "is_cpu",
    ("outputs.py", "RequestOutput"): "outputs finished num_cached_tokens",
    ("outputs.py", "CompletionOutput"): "token_ids logprobs finish_reason",
    ("logprobs.py", "FlatLogprobs"): "logprobs",
    ("config/vllm.py", "VllmConfig"): "scheduler_config cache_config",
    ("config/cache.py", "CacheConfig"): "num_gpu_blocks block_size",
    ("config/scheduler.py", "SchedulerConfig"): "max_num_seqs",
}


def missing(source: Path) -> list[str]:
    """What of USED this source lacks, as module: class.name."""
    modules = {module for module, _ in USED}
    classes = {
        (module, node.name): set(_names(node))
        for module, text in _texts(source, modules)
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef)
    }
    lacking = []
    for (module, name), used in USED.items():
        if (module, name) not in classes:
            lacking.append(f"{module}: {name}")
        else:
            unknown = set(used.split()) - classes[module, name]
            lacking += [f"{module}: {name}.{word}" for word in sorted(unknown)]
    return lacking


def _names(node: ast.ClassDef) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            yield part.name
            yield from (f"{part.name}({argument.arg})" for argument in part.args.args)
            yield from (f"{part.name}({argument.arg})" for argument in part.args.kwonlyargs)
        elif isinstance(part, ast.Assign | ast.AnnAssign):
            for target in part.targets if isinstance(part, ast.Assign) else [part.target]:
                if isinstance(target, ast.Name):
                    yield target.id
                elif isinstance(target, ast.Attribute):
                    yield target.attr


def _texts(source: Path, modules: set[str]) -> Iterator[tuple[str, str]]:
    """The modules' texts by their path in the package."""
    if source.is_dir():
        for module in modules:
            if (path := source / "vllm" / module).exists():
                yield module, path.read_text()
    elif source.suffix == ".whl":
        with zipfile.ZipFile(source) as wheel:
            for module in modules & {n.removeprefix("vllm/") for n in wheel.namelist()}:
                yield module, wheel.read(f"vllm/{module}").decode()
    else:
        with tarfile.open(source) as archive:
            for member in archive:
                root, _, module = member.name.partition("/vllm/")
                opened = archive.extractfile(member) if module in modules else None
                if opened is not None and "/" not in root:
                    yield module, opened.read().decode()


def main() -> int:
    lacks = {source: missing(Path(source)) for source in sys.argv[1:]}
    for source, names in lacks.items():
        print(f"{Path(source).name}: {'; '.join(names) or 'has all that is used'}")
    return any(lacks.values()) or not lacks


if __name__ == "__main__":
    sys.exit(main())
