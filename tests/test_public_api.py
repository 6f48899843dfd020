"""What a script may import: every public name is there and documented, and the docs import by public paths."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from radrl.example import Example

ROOT = Path(__file__).parents[1]
PACKAGES = ["radrl", "radrl.answers", "radrl.data", "radrl.scoring", "radrl.training", "radrl.evaluation"]
PUBLIC = {package: import_module(package).__all__ for package in PACKAGES}
CODE = re.compile(r"```python\n(.*?)```|((?:^    \S.*\n)+)", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_and_documented(package):
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    for name in PUBLIC[package]:
        value = getattr(import_module(package), name)
        if name != "__version__":
            assert inspect.getdoc(value), f"{package}.{name} has no docstring"
            assert f"`{name}`" in page or name in ("ExampleSet", "Header", "Prediction", "Scorer", "Skipped"), name
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        import_module(package).no_such_name  # noqa: B018


def imports_of_docs():
    """Returns ``(page, module, name)`` of each import of ours in the code of a page."""
    rows = []
    for page in sorted((ROOT / "docs").glob("*.md")):
        for block in CODE.finditer(page.read_text(encoding="utf-8")):
            for line in re.findall(r"^ *(from radrl[\w.]* import .+)$", block[1] or block[2], re.MULTILINE):
                (node,) = ast.parse(line.strip()).body
                rows += [(page.name, node.module, one.name) for one in node.names]
    return rows


def test_the_docs_import_what_there_is_by_its_public_path():
    rows = imports_of_docs()
    assert len(rows) > 15
    paths = {name: package for package in PACKAGES for name in PUBLIC[package]}
    for page, module, name in rows:
        assert hasattr(import_module(module), name), f"{page}: {module} has no {name}"
        assert module == paths.get(name, module), f"{page}: import {name} from {paths[name]}"


def test_the_statistic_of_the_docs_runs_as_it_stands(tmp_path):
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    code = CODE.search(page.partition("Your own statistic")[2])[1]
    said = ["Nodule in the left lung.", "No nodule.", "Right pleural effusion."]
    examples = [
        Example(id=f"{k}", patient=f"p{k}", task="report", question="q", reference=said[k % 3]).model_dump_json()
        for k in range(6)
    ]
    (tmp_path / "test.jsonl").write_text("\n".join(examples))
    for name, texts in {"ours": [said[k % 3] for k in range(6)], "theirs": [said[0]] * 6}.items():
        rows = [
            {"id": f"{k}", "sample": 0, "completion": text, "tokens": None, "settings": ""}
            for k, text in enumerate(texts)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    mean = float(re.match(r"\[(\S+)\]", ended.stdout)[1])
    assert 0.5 < mean < 0.9


def test_the_package_says_that_it_is_typed_and_imports_no_library():
    assert (ROOT / "src/radrl/py.typed").is_file()
    code = "import sys, radrl; assert not {'torch', 'pydantic', 'yaml', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
