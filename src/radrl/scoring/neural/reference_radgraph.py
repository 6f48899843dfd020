"""The package radgraph on an archive, one report at a time, in a process of its own: it needs transformers < 5.

    PYTHON -I reference_radgraph.py FOLDER < texts.json > graphs.json

Imports nothing of radrl, so that PYTHON may be of another environment. ``FOLDER`` is an unpacked archive with its
encoder's config and tokenizer under ``encoder/`` (or those of the hub model on this machine). Writes
``{"version", "type", "graphs", "seconds"}``; a graph is null where the package fails.
"""

import contextlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time


def prepare(folder, into):
    """Lays the archive out as the package wants it, its encoder by a local path, and returns its type."""
    (labels,) = (folder / "vocabulary").glob("*__ner_labels.txt")
    kind = labels.name.removesuffix("__ner_labels.txt")
    target = into / kind
    shutil.copytree(folder / "vocabulary", target / "vocabulary")  # the package writes a lock there
    config = json.loads((folder / "config.json").read_text())
    if (folder / "encoder").is_dir():
        for bert in (
            config["model"]["embedder"]["token_embedders"]["bert"],
            config["dataset_reader"]["token_indexers"]["bert"],
        ):
            bert["model_name"] = str((folder / "encoder").resolve())
    (target / "config.json").write_text(json.dumps(config))
    (target / "weights.th").symlink_to((folder / "weights.th").resolve())
    return kind


def main():
    folder, texts = pathlib.Path(sys.argv[1]), json.load(sys.stdin)
    os.environ["HF_HUB_OFFLINE"] = "1"
    with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as into:
        kind = prepare(folder, pathlib.Path(into))
        import radgraph  # pyright: ignore[reportMissingImports] of another environment
        import torch
        from radgraph import radgraph as module  # pyright: ignore[reportMissingImports]

        model = radgraph.RadGraph(model_type=kind, model_cache_dir=into, cuda=None if torch.cuda.is_available() else -1)
        graphs, begin = [], time.perf_counter()
        with torch.inference_mode():
            for text in texts:
                try:
                    graphs.append(model([text]).get("0"))
                except Exception:  # whitespace alone, zero-width signs alone
                    graphs.append(None)
        taken = time.perf_counter() - begin
    json.dump({"version": module.version, "type": kind, "graphs": graphs, "seconds": taken}, sys.stdout)


if __name__ == "__main__":
    main()
