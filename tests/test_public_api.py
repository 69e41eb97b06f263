"""The public names: there, lazy, and the same whatever was imported first."""

from __future__ import annotations

import subprocess
import sys

import pytest

import overpaint


def python(code: str) -> str:
    """What ``code`` prints in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", overpaint.__all__)
def test_public_name_can_be_imported(name: str) -> None:
    assert getattr(overpaint, name) is not None


def test_star_import_gives_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from overpaint import *", names)
    assert set(overpaint.__all__) <= set(names)
    assert {"refact", "ReFACTConfig", "uce", "UCEConfig", "generate", "Sampling"} <= set(names)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = overpaint.nonsense


def test_import_loads_no_library_and_touches_no_file() -> None:
    code = """
import sys, threading
before = set(sys.modules)
opened = []
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and set("wax+") & set(str(arguments[1])):
        opened.append(arguments[0])
    if event.startswith("socket."):
        opened.append(event)
sys.addaudithook(hook)
sys.dont_write_bytecode = True
import overpaint
heavy = {"torch", "numpy", "PIL", "diffusers", "transformers", "rich", "typer", "logging"}
print(sorted(heavy & (set(sys.modules) - before)), opened, threading.active_count())
"""
    assert python(code) == "[] [] 1"


def test_importing_every_module_changes_no_global_state() -> None:
    code = """
import pkgutil, random, importlib
import numpy, torch
torch.manual_seed(1); numpy.random.seed(1); random.seed(1)
before = torch.get_rng_state(), numpy.random.get_state()[1].tolist(), random.getstate()
threads, grad, dtype = torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()
import overpaint
for module in pkgutil.walk_packages(overpaint.__path__, "overpaint."):
    # rich, which the command line and the training import, draws a random number of its own
    if not any(part in module.name for part in ("__main__", ".cli", ".train")):
        importlib.import_module(module.name)
assert torch.equal(before[0], torch.get_rng_state())
assert before[1:] == (numpy.random.get_state()[1].tolist(), random.getstate())
assert (threads, grad, dtype) == (
    torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()
)
print("same")
"""
    assert python(code) == "same"


@pytest.mark.parametrize(
    "first", ["import overpaint.generate", "from overpaint import generate", "import overpaint"]
)
def test_generate_is_the_function_whatever_was_imported_first(first: str) -> None:
    assert (
        python(f"{first}\nimport overpaint\nprint(type(overpaint.generate).__name__)") == "function"
    )
