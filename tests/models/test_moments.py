"""Second moments: equal to the definition, kept on disk, never wrong because of the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig

from overpaint.errors import DataError, SiteError
from overpaint.models.components import token_embedding
from overpaint.models.conditioning import join
from overpaint.models.hooks import record
from overpaint.models.model import Model
from overpaint.models.moments import (
    Corpus,
    default_cache_dir,
    second_moment,
    second_moments,
)
from overpaint.models.sites import (
    attention_out_site,
    mlp_site,
    module_at,
    resolve,
)
from overpaint.models.text import encode, tokenize
from overpaint.models.weights import with_deltas
from overpaint.types import Delta, Site

CAPTIONS = ("a rose", "a blue rose in the park", "the president of arda", "two cats", "a dog")
CORPUS = Corpus("five", CAPTIONS)


def by_definition(model: Model, site: Site) -> torch.Tensor:
    """One caption at a time, one token at a time."""
    total, count = torch.zeros(site.d_in, site.d_in, dtype=torch.float64), 0
    for caption in CAPTIONS:
        with record(module_at(model, site)) as (inputs,):
            encode(model, [caption])
        length = int(tokenize(model, [caption]).end[0]) + 1
        for key in inputs[0][0, :length].double():
            total += torch.outer(key, key)
            count += 1
    return total / count


@pytest.mark.parametrize("make", [mlp_site, attention_out_site])
@pytest.mark.parametrize("batch", [1, 2, 100])
def test_moment_is_the_mean_outer_product_of_real_tokens(sd1: Model, make, batch: int) -> None:
    site = make(sd1, 1)
    moment = second_moment(sd1, site, CORPUS, batch=batch)
    assert moment.dtype == torch.float64
    torch.testing.assert_close(moment, by_definition(sd1, site), rtol=1e-5, atol=1e-6)


def test_the_moment_of_the_padding_leaves_real_tokens_out(sd1: Model) -> None:
    site, keys = mlp_site(sd1, 1), []
    for caption in CAPTIONS:
        with record(module_at(sd1, site)) as (inputs,):
            encode(sd1, [caption])
        keys.append(inputs[0][0, int(tokenize(sd1, [caption]).end[0]) + 1 :].double())
    padding = torch.cat(keys)
    moment = second_moment(sd1, site, CORPUS, padding=True)
    torch.testing.assert_close(moment, padding.T @ padding / len(padding), rtol=1e-5, atol=1e-6)


def test_cross_attention_reads_the_encoded_captions(sd1: Model) -> None:
    moment = second_moment(sd1, sd1.family.path(sd1, "sequence").sites[0], CORPUS)
    mask = tokenize(sd1, CAPTIONS).mask
    keys = join(encode(sd1, CAPTIONS))["prompt_embeds"][mask].double()
    torch.testing.assert_close(moment, keys.T @ keys / len(keys))


def test_second_time_is_read_from_disk(sd1: Model, tmp_path: Path) -> None:
    site, seen = mlp_site(sd1, 0), []
    first = second_moment(sd1, site, CORPUS, cache_dir=tmp_path)
    again = second_moment(
        sd1, site, CORPUS, cache_dir=tmp_path, progress=lambda *args: seen.append(args)
    )
    assert torch.equal(first, again)
    assert seen == []
    assert len(list(tmp_path.iterdir())) == 1


def test_progress_counts_captions(sd1: Model) -> None:
    seen: list[tuple[int, int, str]] = []
    second_moment(sd1, mlp_site(sd1, 0), CORPUS, batch=2, progress=lambda *a: seen.append(a))
    assert [done for done, _, _ in seen] == [2, 4, 5]
    what = "captions for the covariance of text_encoder layer 0"
    assert {(total, text) for _, total, text in seen} == {(5, what)}


def test_each_model_site_and_corpus_has_its_own_file(sd1: Model, tmp_path: Path) -> None:
    def files_after(site: Site, corpus: Corpus = CORPUS) -> int:
        second_moment(sd1, site, corpus, cache_dir=tmp_path)
        return len(list(tmp_path.iterdir()))

    site = mlp_site(sd1, 0)
    assert files_after(site) == 1
    assert files_after(mlp_site(sd1, 1)) == 2
    assert files_after(site, Corpus("other", CAPTIONS)) == 3
    assert files_after(site, Corpus("five", CAPTIONS[::-1])) == 4
    second_moment(sd1, site, CORPUS, padding=True, cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 5
    with torch.no_grad():
        module_at(sd1, mlp_site(sd1, 1)).weight[0, 0] += 1  # read after the site
        module_at(sd1, site).weight[0, 0] += 1
        assert files_after(site) == 5
        module_at(sd1, attention_out_site(sd1, 0)).weight[0, 0] += 1
    assert files_after(site) == 6


def test_damaged_file_is_computed_anew(sd1: Model, tmp_path: Path) -> None:
    site = mlp_site(sd1, 0)
    good = second_moment(sd1, site, CORPUS, cache_dir=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert torch.equal(second_moment(sd1, site, CORPUS, cache_dir=tmp_path), good)
    assert file.stat().st_size > 100


def test_unwritable_cache_is_passed_over(sd1: Model, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    moment = second_moment(sd1, mlp_site(sd1, 0), CORPUS, cache_dir=blocked)
    assert moment.shape == (64, 64)
    assert blocked.read_text() == "not a folder"


def test_cache_directory_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OVERPAINT_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("OVERPAINT_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_dir() == tmp_path / "xdg" / "overpaint"


def test_nothing_to_measure_is_an_error(sd1: Model) -> None:
    with pytest.raises(DataError, match="'empty' has no captions"):
        second_moment(sd1, mlp_site(sd1, 0), Corpus("empty", ()))
    picture = resolve(sd1, "unet", "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k")
    with pytest.raises(SiteError, match="reads no text"):
        second_moment(sd1, picture, CORPUS)


def test_weights_and_hooks_are_as_before(sd1: Model) -> None:
    module = module_at(sd1, mlp_site(sd1, 0))
    before = module.weight.clone()
    second_moment(sd1, mlp_site(sd1, 0), CORPUS)
    assert torch.equal(module.weight, before)
    assert not module._forward_pre_hooks


def test_a_patched_model_has_covariances_of_its_own(sd1: Model, tmp_path: Path) -> None:
    """One that is read while a patch is on must not be taken for the clean model's, nor back."""
    site, before = mlp_site(sd1, 1), mlp_site(sd1, 0)
    patch = [Delta(before, torch.ones(1, before.d_in), torch.randn(before.d_out, 1))]
    with with_deltas(sd1, patch):
        patched = second_moment(sd1, site, CORPUS, cache_dir=tmp_path)
        torch.testing.assert_close(patched, by_definition(sd1, site), rtol=1e-5, atol=1e-6)
    clean = second_moment(sd1, site, CORPUS, cache_dir=tmp_path)
    torch.testing.assert_close(clean, by_definition(sd1, site), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(clean, patched, rtol=0.1)
    with with_deltas(sd1, patch):
        assert torch.equal(second_moment(sd1, site, CORPUS, cache_dir=tmp_path), patched)
    assert len(list(tmp_path.iterdir())) == 2
    with with_deltas(sd1, [Delta(site, patch[0].a, patch[0].b)]):  # not read before the site
        assert torch.equal(second_moment(sd1, site, CORPUS, cache_dir=tmp_path), clean)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_loaded_lora_has_covariances_of_its_own(sd1: Model, tmp_path: Path) -> None:
    site = mlp_site(sd1, 1)
    clean = second_moment(sd1, site, CORPUS, cache_dir=tmp_path)
    config = LoraConfig(r=2, target_modules=["fc1"], init_lora_weights=False)
    encoder: Any = sd1.component("text_encoder")
    encoder.add_adapter(config)
    found = second_moment(sd1, site, CORPUS, cache_dir=tmp_path)
    torch.testing.assert_close(found, by_definition(sd1, site), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(clean, found, rtol=1e-3)
    encoder.disable_adapters()
    off = second_moment(sd1, site, CORPUS, cache_dir=tmp_path)
    torch.testing.assert_close(off, clean, rtol=1e-6, atol=1e-9)
    assert len(list(tmp_path.iterdir())) == 3


def test_several_layers_are_read_in_one_pass(sd1: Model, tmp_path: Path) -> None:
    sites = [mlp_site(sd1, 1), attention_out_site(sd1, 0), mlp_site(sd1, 0)]
    embeddings = token_embedding(sd1)
    seen: list[str] = []
    with record(embeddings) as (calls,):
        found = second_moments(
            sd1, sites, CORPUS, cache_dir=tmp_path, batch=2, progress=lambda *a: seen.append(a[2])
        )
    assert len(calls) == len(seen) == 3
    assert set(seen) == {"captions for the covariance of text_encoder layers 0, 1"}
    for site in sites:
        torch.testing.assert_close(found[site], by_definition(sd1, site), rtol=1e-5, atol=1e-6)
    with record(embeddings) as (calls,):  # the files are those of single layers
        assert torch.equal(
            second_moment(sd1, sites[0], CORPUS, cache_dir=tmp_path), found[sites[0]]
        )
    assert calls == []


@pytest.mark.parametrize("padding", [False, True])
def test_long_captions_are_read_in_smaller_parts(
    sd1: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, padding: bool
) -> None:
    site = mlp_site(sd1, 1)
    whole = second_moment(sd1, site, CORPUS, padding=padding, cache_dir=tmp_path / "a")
    limit = 2 * tokenize(sd1, CAPTIONS).ids.shape[1] if padding else 12
    monkeypatch.setattr("overpaint.models.moments.TOKENS", limit)
    with record(token_embedding(sd1)) as (calls,):
        parts = second_moment(sd1, site, CORPUS, padding=padding, cache_dir=tmp_path / "b")
    assert len(calls) > 1
    assert max(ids.numel() for ids in calls) <= limit
    assert sum(len(ids) for ids in calls) == len(CAPTIONS)
    torch.testing.assert_close(parts, whole, rtol=1e-6, atol=1e-9)


def test_compiled_encoder_is_read_all_the_same(sd1: Model) -> None:
    site = mlp_site(sd1, 1)
    wanted = by_definition(sd1, site)
    sd1.component("text_encoder").compile(backend="eager")
    sd1.component("text_encoder")(torch.tensor([[1, 2, 3]]))
    torch.testing.assert_close(second_moment(sd1, site, CORPUS), wanted, rtol=1e-5, atol=1e-6)
