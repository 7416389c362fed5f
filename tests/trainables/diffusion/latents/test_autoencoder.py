"""The temporal autoencoder: padding has no effect, lossless cases are lossless, the seed determines the fit."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.core.config import ConfigError, build, plain
from trainables.data.config import DataConfig
from trainables.data.dataset import SequenceDataset
from trainables.data.splits.loading import load_splits
from trainables.diffusion.latents.autoencoder import Autoencoder
from trainables.diffusion.latents.config import LatentConfig
from trainables.diffusion.latents.fit import autoencoder_loss, fit_autoencoder, standardise_latents
from trainables.training.worker import Worker

SMALL = LatentConfig(width=8, groups=4, steps=8, batch_size=32)
LENGTHS = [37, 20, 13, 1]
STEPS = 37


def network(config: LatentConfig = SMALL, sequence_channels: int = 2) -> Autoencoder:
    """Return an autoencoder without zero-initialised parts, as after training, in float64."""
    torch.manual_seed(1)
    autoencoder = Autoencoder(sequence_channels, config).double()
    for head in (autoencoder.encoder.head, autoencoder.decoder.head):
        torch.nn.init.normal_(head.weight, std=0.3)
    autoencoder.mean.normal_()
    autoencoder.std.uniform_(0.5, 2.0)
    return autoencoder.requires_grad_(False)


def inputs(channels: int = 2, lengths: list[int] = LENGTHS, steps: int = STEPS) -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    mask = torch.arange(steps) < torch.tensor(lengths)[:, None]
    return torch.randn(len(lengths), steps, channels).double() * mask[:, :, None], mask


def dataset(rows: int = 96) -> SequenceDataset:
    splits = load_splits(DataConfig())
    return SequenceDataset(splits["train"].take(torch.arange(rows)), splits.statistics)


def tensors(autoencoder: Autoencoder) -> dict[str, Tensor]:
    state: dict[str, Tensor] = autoencoder.state_dict()
    return state


def assert_near(actual: Tensor, expected: Tensor) -> None:
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(actual, expected, rtol=0.0, atol=1e-11)


# the mask


@pytest.mark.parametrize("junk", [1e3, float("nan")])
def test_nothing_under_the_mask_reaches_latents_or_reconstruction(junk: float) -> None:
    autoencoder, (z, mask) = network(), inputs()
    latents, coarse = autoencoder.encode(z, mask)
    found, _ = autoencoder.encode(z.masked_fill(~mask[:, :, None], junk), mask)
    assert torch.equal(found, latents)
    spoilt = latents.masked_fill(~coarse[:, :, None], junk)
    assert torch.equal(autoencoder.decode(spoilt, mask), autoencoder.decode(latents, mask))


@pytest.mark.parametrize("extra", [1, 3, 4, 40])
def test_more_padding_changes_no_valid_step(extra: int) -> None:
    autoencoder, (z, mask) = network(), inputs()
    latents, coarse = autoencoder.encode(z, mask)
    longer = torch.nn.functional.pad(mask, (0, extra))
    found, finer = autoencoder.encode(torch.nn.functional.pad(z, (0, 0, 0, extra), value=7.0), longer)
    assert finer[:, coarse.shape[1] :].eq(False).all()
    assert_near(found[:, : coarse.shape[1]], latents)
    assert_near(autoencoder.decode(found, longer)[:, :STEPS], autoencoder.decode(latents, mask))


def test_a_sequence_does_not_depend_on_its_batch_mates() -> None:
    autoencoder, (z, mask) = network(), inputs()
    latents, _ = autoencoder.encode(z, mask)
    together = autoencoder.decode(latents, mask)
    for row, length in enumerate(LENGTHS):
        alone, coarse = autoencoder.encode(z[row : row + 1, :length], mask[row : row + 1, :length])
        assert_near(alone, latents[row : row + 1, : coarse.shape[1]])
        assert_near(autoencoder.decode(alone, mask[row : row + 1, :length]), together[row : row + 1, :length])


def test_a_latent_step_is_valid_if_one_of_its_four_steps_is_and_zero_otherwise() -> None:
    z, mask = inputs(lengths=[0, 1, 4, 5, 36, 37])
    latents, coarse = network().encode(z, mask)
    expected = [[any(step < length for step in range(4 * k, 4 * k + 4)) for k in range(10)] for length in mask.sum(1)]
    assert coarse.tolist() == expected
    assert torch.equal(latents.ne(0).all(2), coarse)
    assert torch.equal(latents.ne(0).any(2), coarse)


def test_reconstructions_are_zero_at_padded_steps_alone() -> None:
    autoencoder, (z, mask) = network(), inputs()
    found = autoencoder.decode(autoencoder.encode(z, mask)[0], mask)
    assert torch.equal(found.ne(0).all(2), mask)
    assert torch.equal(found.ne(0).any(2), mask)


# what is kept


@pytest.mark.parametrize(("sequence_channels", "channels"), [(2, 8), (2, 16), (3, 12)])
def test_latents_with_as_many_numbers_lose_nothing_before_training(sequence_channels: int, channels: int) -> None:
    autoencoder = Autoencoder(sequence_channels, replace(SMALL, channels=channels)).double()
    z, mask = inputs(sequence_channels)
    found = autoencoder.decode(autoencoder.encode(z, mask)[0], mask)
    torch.testing.assert_close(found, z, rtol=0.0, atol=1e-5)  # the fold is orthogonal to the digits of float32


def test_fewer_numbers_lose_something_before_training() -> None:
    autoencoder, (z, mask) = Autoencoder(2, replace(SMALL, channels=4)).double(), inputs()
    assert (autoencoder.decode(autoencoder.encode(z, mask)[0], mask) - z).abs().max() > 0.1


def test_the_training_pass_without_disturbance_is_decoding_of_encoding() -> None:
    autoencoder, (z, mask) = network(), inputs()
    reconstruction, codes = autoencoder(z, mask, torch.zeros(4, 10, 8).double())
    latents, coarse = autoencoder.encode(z, mask)
    assert_near(reconstruction, autoencoder.decode(latents, mask))
    assert_near(codes, (latents * autoencoder.std + autoencoder.mean) * coarse[:, :, None])


# training


def test_the_loss_equals_its_definition() -> None:
    z, mask = inputs()
    reconstruction, codes = torch.randn_like(z), network().encode(z, mask)[0]
    rows = []
    for row, length in enumerate(LENGTHS):
        errors = [(z[row, i, c] - reconstruction[row, i, c]).item() ** 2 for i in range(length) for c in range(2)]
        squares = [codes[row, k, c].item() ** 2 for k in range(math.ceil(length / 4)) for c in range(8)]
        rows.append(sum(errors) / len(errors) + 0.3 * sum(squares) / len(squares))
    found = autoencoder_loss(z, reconstruction, codes, mask, 0.3).item()
    assert found == pytest.approx(sum(rows) / len(rows), rel=1e-12)


def test_the_loss_of_a_batch_is_the_mean_over_the_workers() -> None:
    z, mask = inputs()
    other, codes = torch.randn_like(z), network().encode(z, mask)[0]
    rows = [slice(None), slice(0, None, 2), slice(1, None, 2)]
    whole, *shares = (autoencoder_loss(z[at], other[at], codes[at], mask[at], 0.1) for at in rows)
    torch.testing.assert_close(torch.stack(shares).mean(), whole)


def test_fitted_latents_have_mean_zero_and_variance_one_over_the_training_split() -> None:
    data = dataset()
    latents, coarse = fit_autoencoder(data, SMALL, seed=0).encode(*data.sequences)
    std, mean = torch.std_mean(latents[coarse], dim=0)
    torch.testing.assert_close(mean, torch.zeros(8), rtol=0, atol=1e-5)
    torch.testing.assert_close(std, torch.ones(8), rtol=0, atol=1e-5)


def test_the_seed_determines_the_fit() -> None:
    first, again, other = (tensors(fit_autoencoder(dataset(), SMALL, seed)) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_fit_leaves_no_gradient_and_every_parameter_has_moved() -> None:
    data = dataset()
    one, two = (fit_autoencoder(data, replace(SMALL, steps=steps), seed=0) for steps in (1, 4))
    assert not any(p.requires_grad for p in two.parameters())
    assert [name for name, p in one.named_parameters() if torch.equal(p, two.get_parameter(name))] == []


def disturbed_error(autoencoder: Autoencoder, data: SequenceDataset, size: float) -> float:
    """Mean squared error per valid number after noise of `size` in units of the codes."""
    z, mask = data.sequences
    latents, _ = autoencoder.encode(z, mask)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(3)) * size / autoencoder.std
    decoded = autoencoder.decode(latents + noise, mask)
    return ((decoded - z).square().sum() / (2 * mask.sum())).item()


def test_training_with_noise_makes_the_decoder_forgive_it() -> None:
    """Seeded; a fit without noise has no reason to forgive it, and keeps more where there is none."""
    data = dataset()
    forgiving, strict = (
        fit_autoencoder(data, replace(SMALL, noise=noise, lr=1e-2, steps=30), 0) for noise in (0.3, 0.0)
    )
    assert disturbed_error(forgiving, data, 0.3) < 0.9 * disturbed_error(strict, data, 0.3)
    assert disturbed_error(strict, data, 0.0) < disturbed_error(forgiving, data, 0.0)


def test_a_channel_that_does_not_vary_is_refused() -> None:
    autoencoder = Autoencoder(2, SMALL)
    with torch.no_grad():
        autoencoder.encoder.fold.weight[3] = 0.0
    with pytest.raises(ConfigError, match="expected latent channels that vary, but channel 3 is constant"):
        standardise_latents(autoencoder, dataset())


def test_a_diverging_fit_ends_with_its_learning_rate() -> None:
    data = dataset()
    data.sequences.z[0, 0] = float("inf")
    with pytest.raises(ConfigError, match=r"lower latent\.lr=0\.002"):
        fit_autoencoder(data, replace(SMALL, batch_size=96), seed=0)


def test_each_worker_computes_its_rows_of_the_common_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers, one step each: what they see is a partition of what one alone sees."""
    seen: dict[tuple[int, int], tuple[Tensor, ...]] = {}
    original = Autoencoder.forward

    for world in (1, 2):
        for rank in range(world):

            def spy(self: Autoencoder, *given: Tensor, place: tuple[int, int] = (rank, world)) -> Any:
                seen[place] = given
                return original(self, *given)

            monkeypatch.setattr(Autoencoder, "forward", spy)
            fit_autoencoder(dataset(), replace(SMALL, steps=1), 0, Worker(rank=rank, world_size=world))
    for whole, *shares in zip(seen[0, 1], seen[0, 2], seen[1, 2], strict=True):
        assert all(torch.equal(share, whole[rank::2]) for rank, share in enumerate(shares))


# input


@pytest.mark.parametrize(
    ("changed", "law"),
    [
        *(({name: 0}, f"{name}=0") for name in ("channels", "width", "groups", "steps", "batch_size")),
        ({"groups": 5}, "groups=5, width=32"),
        ({"lr": 0.0}, r"lr=0\.0"),
        ({"noise": -1.0}, r"noise=-1\.0"),
        ({"scale_weight": -1.0}, r"scale_weight=-1\.0"),
    ],
    ids=str,
)
def test_an_invalid_value_is_refused(changed: dict[str, Any], law: str) -> None:
    with pytest.raises(ConfigError, match=law):
        LatentConfig(**changed)


def test_a_configuration_is_restored_from_its_plain_form() -> None:
    assert build(LatentConfig, plain(SMALL)) == SMALL


def test_inputs_of_another_shape_are_refused() -> None:
    autoencoder, (z, mask) = network(), inputs()
    with pytest.raises(ValueError, match=r"\[B, T, 2\]"):
        autoencoder.encode(torch.cat([z, z], dim=2), mask)
    latents, _ = autoencoder.encode(z, mask)
    with pytest.raises(ValueError, match=r"\(4, 10, 8\), but got \(4, 9, 8\)"):
        autoencoder.decode(latents[:, :9], mask)


def test_more_rows_than_there_are_make_no_batch() -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        fit_autoencoder(dataset(16), SMALL, seed=0)
