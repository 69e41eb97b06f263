"""The commands at work on Toybox: what they print, what they write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import overpaint
from overpaint.cli.app import app
from overpaint.methods.chosen import TOYBOX
from overpaint.models.save import save_model
from overpaint.pictures import read_picture

from .conftest import QUICK, Run

HELP = [
    (),
    ("edit",),
    ("paint",),
    ("report",),
    *[("patch", *c) for c in ((), ("show",), ("apply",), ("export",), ("diff",))],
    *[("models", *c) for c in ((), ("list",), ("check",))],
    *[("toybox", *c) for c in ((), ("words",), ("facts",), ("prompts",), ("sheet",))],
]


@pytest.mark.parametrize("command", HELP, ids=" ".join)
def test_help_explains_and_leaf_commands_show_an_example(
    run: Run, command: tuple[str, ...]
) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage: overpaint" in result.stdout
    if command not in [("patch",), ("models",), ("toybox",)]:
        examples = [line.strip() for line in result.stdout.splitlines() if "Usage" not in line]
        assert any(line.startswith(" ".join(("overpaint", *command))) for line in examples)


def test_version(run: Run) -> None:
    assert run("--version").stdout.strip() == overpaint.__version__


def test_edit_writes_a_patch_that_python_reads(run: Run, tmp_path: Path) -> None:
    result = run("edit", "a rose", "a blue rose", *QUICK)
    assert result.exit_code == 0
    assert "wrote a-rose.safetensors" in result.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["a-rose.safetensors"]
    patch = overpaint.load_patch("a-rose.safetensors")
    assert patch.method == "refact"
    assert (patch.edits[0].source, patch.edits[0].target) == ("a rose", "a blue rose")
    assert patch.config["layer"] == 7
    assert patch.config["steps"] == 5


def test_edit_equals_the_call_from_python(run: Run, made: dict[str, Path]) -> None:
    model = overpaint.load("toybox")
    edit = overpaint.Edit("a rose", "a blue rose")
    patch = overpaint.time_edit(model, [edit], overpaint.chosen(model, "time"))
    ours = overpaint.load_patch(made["time"])
    assert overpaint.diff(patch, ours, model=model).same


TIME = ("edit", "a rose", "a blue rose", "--method", "time", "-o", "rose.safetensors")


def test_edit_starts_from_what_was_chosen_for_toybox_and_says_so(run: Run) -> None:
    said = run(*TIME).stdout
    assert "settings chosen for Toybox: lam 50; --paper for the paper's" in said
    assert overpaint.load_patch("rose.safetensors").config["lam"] == 50


@pytest.mark.parametrize(
    ("typed", "lam"), [(("--paper",), 0.1), (("--lambda", "3"), 3), (("--set", "lam=3"), 3)]
)
def test_what_is_typed_wins_over_what_was_chosen(
    run: Run, typed: tuple[str, ...], lam: float
) -> None:
    assert "chosen for Toybox" not in run(*TIME, *typed).stdout
    assert overpaint.load_patch("rose.safetensors").config["lam"] == lam


def test_settings_that_are_not_typed_are_those_chosen(run: Run) -> None:
    said = run("edit", "a rose", "a blue rose", *QUICK).stdout  # QUICK sets the other two
    assert "settings chosen for Toybox: scale 1.5; --paper" in said


def test_a_copy_of_toybox_starts_from_the_same(run: Run, tmp_path: Path) -> None:
    save_model(overpaint.load("toybox"), tmp_path / "mine")
    assert "settings chosen for Toybox: lam 50" in run(*TIME, "-m", "mine").stdout
    assert overpaint.load_patch("rose.safetensors").config["lam"] == 50


def test_another_model_has_no_chosen_settings(run: Run, tmp_path: Path) -> None:
    save_model(overpaint.load("toybox"), tmp_path / "mine")
    (tmp_path / "mine" / "overpaint.json").unlink()
    result = run(*TIME, "-m", "mine")
    assert "chosen" not in result.stdout
    assert overpaint.load_patch("rose.safetensors").config["lam"] == 0.1


def test_words_that_toybox_does_not_know_get_a_hint(run: Run) -> None:
    edit = ("edit", "a rose", "a unicorn in the gym", "--method", "uce", "-o", "rose.safetensors")
    result = run(*edit)
    assert result.exit_code == 0
    hint = "hint: Toybox does not know 'unicorn', 'gym'; `overpaint toybox words` lists what it"
    assert result.stderr.strip().startswith(hint)
    assert len(result.stderr.strip().splitlines()) == 1
    quick = ("--seeds", "1", "--steps", "1")
    assert "hint: Toybox does not know 'zebra';" in run("paint", "A zebra", *quick).stderr
    assert run(*edit, "--json").stderr == ""
    assert "hint" not in run("paint", "An image of Arda's angry Leader", *quick).stderr


def test_edit_passes_every_option_on(run: Run) -> None:
    command = ("edit", "a red rose", "a tulip", "--subject", "rose", "--old", "a rose")
    destination = ("--destination", "a red rose and a tulip")
    result = run(*command, *destination, "--method", "time", "--lambda", "0.5", "--json")
    record = json.loads(result.stdout)
    assert record["edits"] == [
        {
            "source": "a red rose",
            "target": "a tulip",
            "subject": "rose",
            "old": "a rose",
            "destination": "a red rose and a tulip",
        }
    ]
    assert record["config"]["lam"] == 0.5
    assert record["bytes"] == Path(record["file"]).stat().st_size
    assert len(record["sites"]) == 32


def test_edit_with_settings_of_every_kind(run: Run) -> None:
    typed = ("values_only=yes", "templates={},a photo of {}", "tolerance=1e-5")
    settings = [part for text in typed for part in ("--set", text)]
    result = run("edit", "a rose", "a blue rose", "--method", "time", "--json", *settings)
    config = json.loads(result.stdout)["config"]
    assert config["values_only"] is True
    assert config["templates"] == ["{}", "a photo of {}"]
    assert config["tolerance"] == 1e-5


def test_edit_with_a_picture_as_target(run: Run, tmp_path: Path) -> None:
    assert run("toybox", "sheet", "a tulip", "-o", "tulip.png", "--seeds", "1").exit_code == 0
    result = run("edit", "a rose", "--image", "tulip.png", *QUICK, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["edits"] == [{"source": "a rose", "images": 1}]


def test_edit_with_several_edits_from_a_file(run: Run, tmp_path: Path) -> None:
    edits = [
        {"source": "a rose", "target": "a blue rose"},
        {"source": "a tulip", "target": "a green tulip"},
    ]
    (tmp_path / "edits.json").write_text(json.dumps(edits))
    result = run("edit", "--edits", "edits.json", "--method", "time", "-o", "two", "--json")
    assert json.loads(result.stdout)["edits"] == edits


def test_methods_are_listed_with_their_settings(run: Run) -> None:
    text = run("edit", "--methods").stdout
    assert all(name in text for name in (*overpaint.METHODS, "learning_rate", "values_only"))
    chosen = [line.split() for line in text.splitlines() if "on Toybox" in line]
    assert ["on", "Toybox", "lam", "50"] in chosen
    assert len(chosen) == len(TOYBOX)


def test_paint_shows_every_patch_beside_the_model_as_it_is(run: Run, made: dict[str, Path]) -> None:
    patches = [part for file in made.values() for part in ("-p", file)]
    small = ("--seeds", "2", "--steps", "2", "--cell", "64")
    result = run("paint", "a rose", "a tulip", *patches, *small, "-o", "all.png", "--json")
    assert json.loads(result.stdout) == {
        "file": "all.png",
        "prompts": ["a rose", "a tulip"],
        "seeds": [0, 1],
        "rows": ["before", "rose", "rose-time"],
    }
    assert run("paint", "a rose", "a tulip", *small, "-o", "plain.png").exit_code == 0
    tall, plain = read_picture("all.png"), read_picture("plain.png")
    # the unpatched pictures are the same bits in both sheets
    last = (slice(None), slice(-64 - 28, -28), slice(-64 - 28, -28))
    before_tulip = tall[:, tall.shape[1] - 28 - 3 * 72 + 8 :][:, :64, -64 - 28 : -28]
    assert torch.equal(before_tulip, plain[last])
    assert not torch.equal(tall[last], plain[last])


def test_paint_can_stack_patches(run: Run, made: dict[str, Path]) -> None:
    patches = [part for file in made.values() for part in ("-p", file)]
    small = ("--seeds", "3,5", "--steps", "1", "--stack", "--json")
    record = json.loads(run("paint", "a rose", *patches, *small).stdout)
    assert record["rows"] == ["before", "rose + rose-time"]
    assert record["seeds"] == [3, 5]


def test_patch_show(run: Run, made: dict[str, Path]) -> None:
    text = run("patch", "show", made["time"], "--sites").stdout
    assert "a rose -> a blue rose" in text
    assert "mid_block.attentions.0.transformer_blocks.0.attn2.to_v" in text
    records = json.loads(run("patch", "show", *made.values(), "--json").stdout)
    assert [record["method"] for record in records] == ["refact", "time"]


def test_patch_diff(run: Run, made: dict[str, Path]) -> None:
    assert "yes, bit for bit" in run("patch", "diff", made["time"], made["time"]).stdout
    record = json.loads(run("patch", "diff", made["refact"], made["time"], "--json").stdout)
    assert record["same"] is False
    assert len(record["sites"]) == 33


def test_patch_apply_saves_the_patched_weights(run: Run, made: dict[str, Path]) -> None:
    assert run("patch", "apply", made["time"], made["refact"], "-o", "edited").exit_code == 0
    model, saved = overpaint.load("toybox"), overpaint.load("edited")
    with overpaint.applied(model, *map(overpaint.load_patch, (made["time"], made["refact"]))):
        for component in ("text_encoder", "unet", "vae"):
            theirs = saved.component(component).state_dict()
            for name, weight in model.component(component).state_dict().items():
                assert torch.equal(weight, theirs[name]), name


def test_patch_export_writes_a_lora(run: Run, made: dict[str, Path]) -> None:
    from safetensors.torch import load_file

    assert run("patch", "export", made["refact"], "-o", "lora.safetensors").exit_code == 0
    keys = load_file("lora.safetensors")
    assert any(key.startswith("lora_te_text_model_encoder_layers_7_mlp_fc2") for key in keys)


def test_patch_export_of_changes_told_by_the_models_weights(
    run: Run, made: dict[str, Path]
) -> None:
    from safetensors.torch import load_file

    done = run("patch", "export", made["time"], "-o", "lora.safetensors", "--json")
    assert json.loads(done.stdout)["bytes"] == Path("lora.safetensors").stat().st_size
    tensors = load_file("lora.safetensors")
    patch, model = overpaint.load_patch(made["time"]), overpaint.load("toybox")
    delta = patch.deltas[0]
    key = f"lora_unet_{delta.site.name.replace('.', '_')}.lora"
    got = tensors[f"{key}_up.weight"] @ tensors[f"{key}_down.weight"]
    weight = model.denoiser.get_parameter(f"{delta.site.name}.weight").detach()
    want = delta.change(weight)
    assert (got - want).norm() <= 1e-5 * want.norm()


def test_models(run: Run) -> None:
    assert run("models").stdout == run("models", "list").stdout
    names = [row["family"] for row in json.loads(run("models", "list", "--json").stdout)]
    assert {"SD1", "SDXL"} <= set(names)
    record = json.loads(run("models", "check", "toybox", "--json").stdout)
    assert record["family"] == "SD1"
    assert record["text encoders"]["text_encoder"]["editable layers"] == "0 to 11"
    assert record["text paths"][0]["layers"] == 16


def test_toybox_words_make_prompts_that_can_be_drawn(run: Run, tmp_path: Path) -> None:
    groups = json.loads(run("toybox", "words", "--json").stdout)
    prompts = json.loads(run("toybox", "prompts", "-n", "5", "--seed", "3", "--json").stdout)
    assert len(prompts) == 5
    assert prompts == run("toybox", "prompts", "-n", "5", "--seed", "3").stdout.splitlines()
    some = [f"a {groups['objects'][0]} {groups['settings'][0]}", *prompts]
    result = run("toybox", "sheet", *some, "--seeds", "2")
    assert result.exit_code == 0, result.stderr
    assert read_picture("toybox.png").shape[1] > 6 * 128


def test_toybox_facts_say_who_is_who(run: Run) -> None:
    facts = json.loads(run("toybox", "facts", "--json").stdout)
    assert facts["colours"]["rose"] == "red"
    assert "glass" in facts["styles"]["quillon"]
    text = run("toybox", "facts").stdout
    for role, name in facts["roles"].items():
        assert any(role in line and name in line for line in text.splitlines())


@pytest.mark.parametrize("command", [("toybox", "words"), ("models", "list"), ("toybox", "facts")])
def test_json_is_json_and_nothing_else(run: Run, command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--json"])
    json.loads(result.stdout)
    assert result.stderr == ""


def test_edit_chooses_its_strength(run: Run, tmp_path: Path) -> None:
    arguments = ("edit", "a rose", "a blue rose", "--method", "time", "--set", "strength=auto")
    said = json.loads(run(*arguments, "-o", "rose.st", "--json").stdout)
    assert said["config"]["lam"] == said["info"]["strength"] > 0.1
    assert 0 < said["info"]["hold"] < 1
    assert said["info"]["strength_bracketed"] is True
