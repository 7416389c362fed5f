"""The denoiser: padding has no effect, sequences are independent, the fused layer equals its definition."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.core.config import ConfigError, build
from trainables.diffusion.models.config import UNetConfig
from trainables.diffusion.models.unet1d import UNet1D
from trainables.nn.layers import ModulatedNorm, halve
from trainables.nn.modulate import EPS, modulate

SMALL = UNetConfig(condition_dim=3, base_channels=8, groups=4, embedding_dim=16)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
LENGTHS = [37, 20, 13, 1]
dtypes = pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)


def network(dtype: torch.dtype = torch.float64, config: UNetConfig = SMALL) -> UNet1D:
    """Return a network in evaluation mode with a non-zero head, as after training."""
    torch.manual_seed(1)
    unet = UNet1D(config).to(dtype).eval()
    torch.nn.init.normal_(unet.head.weight, std=1.0)
    return unet


def inputs(dtype: torch.dtype = torch.float64, lengths: list[int] = LENGTHS, steps: int = 37) -> dict[str, Tensor]:
    torch.manual_seed(2)
    batch = len(lengths)
    return {
        "x": torch.randn(batch, steps, 2, dtype=dtype),
        "t": torch.randint(0, 1000, (batch,)),
        "mask": torch.arange(steps) < torch.tensor(lengths)[:, None],
        "condition": torch.randn(batch, 3, dtype=dtype),
    }


def assert_near(actual: Tensor, expected: Tensor) -> None:
    """The laws hold to rounding, and the outputs are of order one, so that this means something."""
    scale = expected.detach().abs().max().item()
    assert scale > 0.1
    torch.testing.assert_close(actual, expected, rtol=0.0, atol=TOLERANCE[expected.dtype] * scale)


@dtypes
@pytest.mark.parametrize("junk", [1e3, float("nan")])
def test_nothing_under_the_mask_reaches_a_valid_step(dtype: torch.dtype, junk: float) -> None:
    unet, given = network(dtype), inputs(dtype)
    clean = unet(**given)
    given["x"] = given["x"].masked_fill(~given["mask"][:, :, None], junk)
    assert torch.equal(unet(**given), clean)


@dtypes
@pytest.mark.parametrize("extra", [1, 3, 8, 40])
def test_more_padding_changes_no_valid_step(dtype: torch.dtype, extra: int) -> None:
    unet, given = network(dtype), inputs(dtype)
    once = unet(**given)
    given["x"] = torch.nn.functional.pad(given["x"], (0, 0, 0, extra), value=7.0)
    given["mask"] = torch.nn.functional.pad(given["mask"], (0, extra))
    assert_near(unet(**given)[:, :37], once)


@dtypes
def test_a_sequence_does_not_depend_on_its_batch_mates(dtype: torch.dtype) -> None:
    unet, given = network(dtype), inputs(dtype)
    together = unet(**given)
    for row, length in enumerate(LENGTHS):
        alone = {name: value[row : row + 1] for name, value in given.items()}
        alone |= {"x": alone["x"][:, :length], "mask": alone["mask"][:, :length]}
        assert_near(unet(**alone), together[row : row + 1, :length])


def test_a_permuted_batch_is_answered_permuted() -> None:
    unet, given = network(), inputs()
    order = torch.tensor([2, 0, 3, 1])
    assert_near(unet(**{name: value[order] for name, value in given.items()}), unet(**given)[order])


def test_a_valid_step_reaches_far_valid_steps() -> None:
    """The counterpart of the laws of hiding: attention carries the first step to the last one."""
    unet, given = network(), inputs()
    before = unet(**given)
    given["x"][0, 0] += 1.0
    assert (unet(**given) - before)[0, 36].abs().min() > 1e-6


def test_outputs_at_padded_steps_are_zero_even_in_a_sequence_without_valid_steps() -> None:
    given = inputs(lengths=[37, 5, 0])
    out = network()(**given)
    assert out[~given["mask"]].eq(0).all()
    assert out[given["mask"]].ne(0).all()


def test_a_mask_with_holes_hides_what_is_in_them() -> None:
    unet, given = network(), inputs()
    given["mask"][0, 10:19] = False
    before = unet(**given)
    given["x"][0, 10:19] = 5.0
    assert torch.equal(unet(**given), before)


@pytest.mark.parametrize("length", [1, 2, 5, 8, 11])
def test_a_coarser_mask_is_the_prefix_of_half_the_length_rounded_up(length: int) -> None:
    mask = torch.arange(12)[None] < length
    assert halve(mask).tolist() == [[step < -(-length // 2) for step in range(6)]]


def test_gradients_hold_the_laws_of_the_mask_too() -> None:
    unet, given = network(), inputs()
    given["x"].requires_grad_()
    unet(**given)[1].square().sum().backward()
    grad = given["x"].grad
    assert grad is not None
    assert grad[[0, 2, 3]].eq(0).all()
    assert grad[~given["mask"]].eq(0).all()
    assert grad[1, :20].ne(0).all()


def defined_modulation(h: Tensor, gain: Tensor, offset: Tensor, groups: int, valid: Tensor, keep: Tensor) -> Tensor:
    """The definition in plain loops over sequences and groups."""
    out, size = torch.zeros_like(h), h.shape[2] // groups
    for row in range(len(h)):
        steps = valid[row, :, 0] > 0
        for group in range(groups):
            part = slice(group * size, (group + 1) * size)
            seen = h[row, steps, part]
            normed = (seen - seen.mean()) / (seen.var(unbiased=False) + EPS).sqrt()
            z = normed * gain[row, part] + offset[row, part]
            out[row, steps, part] = z * torch.sigmoid(z) * keep[row, part]
    return out


def modulation_inputs() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    h, gain, offset = 2 + torch.randn(3, 5, 6).double(), torch.randn(3, 6).double(), torch.randn(3, 6).double()
    valid = (torch.arange(5) < torch.tensor([5, 3, 1])[:, None])[:, :, None].double()
    return h, gain, offset, valid, torch.tensor([0.0, 2.0, 2.0, 0.0, 2.0, 2.0]).double().expand(3, 6)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dropped", [False, True])
def test_modulate_equals_its_definition_and_so_does_its_gradient(masked: bool, dropped: bool) -> None:
    h, gain, offset, valid, keep = modulation_inputs()
    mask, factors = valid if masked else None, keep if dropped else None
    everything = torch.ones_like(valid), torch.ones_like(keep)
    expected = defined_modulation(
        h, gain, offset, 3, valid if masked else everything[0], keep if dropped else everything[1]
    )
    torch.testing.assert_close(modulate(h, gain, offset, 3, mask, factors), expected, rtol=0, atol=1e-12)
    differentiable = [value.clone().requires_grad_() for value in (h, gain, offset)]
    assert torch.autograd.gradcheck(lambda a, b, c: modulate(a, b, c, 3, mask, factors), differentiable)


def test_modulate_is_exact_far_from_zero() -> None:
    """Variance by the difference of raw moments would lose all digits in float32 here."""
    h, gain, offset, valid, keep = modulation_inputs()
    far = (h + 1000.0).float()
    expected = defined_modulation(far.double(), gain, offset, 3, valid, keep)
    actual = modulate(far, gain.float(), offset.float(), 3, valid.float(), keep.float())
    torch.testing.assert_close(actual.double(), expected, rtol=0, atol=1e-3)


def test_channel_dropout_zeroes_entire_channels_and_keeps_the_mean() -> None:
    """40,000 draws at p = 0.25: 5 standard deviations of the share are 0.011, false-failure rate 6e-7."""
    torch.manual_seed(4)
    norm = ModulatedNorm(40, 4, dropout=0.25).train()
    h = torch.randn(1000, 3, 40)
    out, plain = norm(h, None), norm.eval()(h, None)
    dropped = out.eq(0).all(1)
    assert torch.equal(dropped, out.eq(0).any(1))
    assert abs(dropped.float().mean().item() - 0.25) < 0.011
    torch.testing.assert_close(out, plain / 0.75 * ~dropped[:, None])


def test_dropout_repeats_under_a_seed_and_differs_under_another() -> None:
    unet, given = network().train(), inputs()

    def seeded(seed: int) -> Tensor:
        torch.manual_seed(seed)
        out: Tensor = unet(**given)
        return out

    assert torch.equal(seeded(5), seeded(5))
    assert not torch.equal(seeded(5), seeded(6))
    assert torch.equal(unet.eval()(**given), unet(**given))


def test_dropped_and_absent_conditions_are_the_null_condition() -> None:
    unet, given = network(), inputs()
    conditional, null = unet(**given), unet(**given | {"condition": None})
    drop = torch.tensor([True, False, True, False])
    assert_near(unet(**given, drop_condition=drop), torch.where(drop[:, None, None], null, conditional))
    assert ((conditional - null).abs().amax((1, 2)) > 1e-4).all()


def test_time_and_condition_matter_and_integer_times_equal_floating_ones() -> None:
    unet, given = network(), inputs()
    out = unet(**given)
    assert torch.equal(unet(**given | {"t": given["t"].double()}), out)
    assert (unet(**given | {"t": given["t"] + 20}) - out).abs().max() > 1e-4
    assert (unet(**given | {"condition": given["condition"] + 1}) - out).abs().max() > 1e-4


def test_every_parameter_receives_a_gradient() -> None:
    unet, given = network(), inputs()
    unet(**given, drop_condition=torch.tensor([True, False, False, False])).square().sum().backward()
    without = [name for name, p in unet.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_an_untrained_network_predicts_zero() -> None:
    assert UNet1D(SMALL).double()(**inputs()).eq(0).all()


def test_it_learns_a_function_of_the_neighbouring_step() -> None:
    """Seeded; the target x[t-1] has variance 1, so 0.15 is far below what a network blind to neighbours reaches."""
    torch.manual_seed(7)
    unet = UNet1D(UNetConfig(base_channels=16, groups=4, dropout=0.0))
    optimizer = torch.optim.AdamW(unet.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        x, t, mask = torch.randn(16, 16, 2), torch.zeros(16), torch.ones(16, 16, dtype=torch.bool)
        loss = (unet(x, t, mask)[:, 1:] - x[:, :-1]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.8
    assert losses[-1] < 0.15


def test_the_default_has_one_to_three_million_parameters_in_contiguous_memory() -> None:
    parameters = list(UNet1D(UNetConfig()).parameters())
    assert 1_000_000 <= sum(p.numel() for p in parameters) <= 3_000_000
    assert all(p.is_contiguous() for p in parameters)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"base_channels": 40}, "groups=16, width=40"),
        ({"base_channels": 33, "groups": 1}, r"base_channels=33, mult=1\.5"),
        ({"attention_heads": 5}, "attention_heads=5, width=128"),
        ({"dropout": 1.0}, r"dropout=1\.0"),
        ({"channel_mults": ()}, "channel_mults"),
        ({"condition_dim": -1}, "condition_dim=-1"),
        ({"embedding_dim": 7}, "embedding_dim=7"),
        *(({name: 0}, f"{name}=0") for name in ("channels", "base_channels", "groups", "attention_heads")),
    ],
    ids=str,
)
def test_a_config_that_does_not_fit_names_the_values(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        UNetConfig(**changed)


def test_a_config_built_from_a_mapping_builds_a_network() -> None:
    config = build(UNetConfig, {"base_channels": 8, "groups": 4, "channel_mults": [1, 2]})
    assert config.widths == (8, 16)
    assert UNet1D(config)(torch.randn(1, 5, 2), torch.zeros(1), torch.ones(1, 5, dtype=torch.bool)).shape == (1, 5, 2)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda given: given | {"condition": given["condition"][:, :2]}, "condition_dim=3, but got 2"),
        (lambda given: given | {"x": given["x"][:, :, :1]}, "2 channels, but got 1"),
    ],
)
def test_inputs_of_another_width_are_refused(
    spoil: Callable[[dict[str, Tensor]], dict[str, Tensor]], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        network()(**spoil(inputs()))


def test_an_unconditional_network_refuses_a_condition() -> None:
    with pytest.raises(ValueError, match="expected no `condition`"):
        network(config=UNetConfig(base_channels=8, groups=4))(**inputs())
