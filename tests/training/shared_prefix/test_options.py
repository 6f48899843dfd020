"""Every option of GRPO that changes the loss changes it by the shared prefix as by TRL's own path, in float64."""

from __future__ import annotations

import pytest
import torch
from prefix_models import as_stock, in_float64, make_model, make_rows, make_trainer

KL, SEQUENCES = {"loss_type": "grpo", "beta": 0.1}, {"loss_type": "grpo"}
# the option, and what it is set beside; the loss without it is that of the second alone
OPTIONS = [
    ({"epsilon": 0.01}, SEQUENCES),
    ({"epsilon_high": 0.01}, SEQUENCES),
    ({"epsilon_high": 1.01}, {"loss_type": "cispo"}),
    ({"delta": 1.02}, SEQUENCES),
    ({"importance_sampling_level": "sequence"}, SEQUENCES),
    ({"top_entropy_quantile": 0.3}, SEQUENCES),
    ({"entropy_coef": 0.5}, SEQUENCES),
    ({"entropy_coef": 0.5, "top_entropy_quantile": 0.3}, SEQUENCES),
    ({"off_policy_mask_threshold": 1e-4}, SEQUENCES),
    ({"mask_truncated_completions": True}, SEQUENCES),
    ({"scale_rewards": "batch"}, SEQUENCES),
    ({"scale_rewards": False}, SEQUENCES),
    ({"use_bias_correction_kl": False}, KL),
    ({"sapo_temperature_pos": 3.0}, {"loss_type": "sapo"}),
    ({"sapo_temperature_neg": 3.0}, {"loss_type": "sapo"}),
    ({"vespo_k_pos": 1.0, "vespo_lambda_pos": 1.0}, {"loss_type": "vespo"}),
    ({"vespo_k_neg": 1.0, "vespo_lambda_neg": 1.0}, {"loss_type": "vespo"}),
]


@pytest.fixture
def losses(tmp_path, monkeypatch):
    """Rolls out, moves the policy a little, and returns the loss and its gradient by both paths."""
    in_float64(monkeypatch)

    def of(tied=True, **settings):
        model, processor = make_model("qwen3_vl")
        if not tied:
            model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False
            model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())
        folder = tmp_path / "start"  # a reference model is loaded from the policy's own folder
        model.double().save_pretrained(folder)
        model = type(model).from_pretrained(folder, dtype=torch.float64)
        rows = make_rows((1, 0, 2, 1))
        trainer = make_trainer(tmp_path / "run", model, processor, rows, num_iterations=2, **settings)
        assert trainer.sharing
        trainer.checked = True  # the rollout's own check is not what is tested here
        trainer.model.train()
        trainer.current_gradient_accumulation_steps = 1
        inputs = trainer.prepare_inputs([rows[k // 4] for k in range(16)])
        noise = torch.Generator().manual_seed(0)
        with torch.no_grad():  # so that the ratio of new to old is not 1
            for weight in model.parameters():
                weight.add_(0.03 * weight.std() * torch.randn(weight.shape, generator=noise, dtype=weight.dtype))
        found = []
        for sharing, batch in ((True, inputs), (False, as_stock(trainer, inputs))):
            trainer.sharing = sharing
            model.zero_grad()
            loss = trainer.compute_loss(model, batch)
            loss.backward()
            found.append((loss.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])))
        return found

    return of


plain: dict[str, torch.Tensor] = {}


@pytest.mark.parametrize(("option", "beside"), OPTIONS, ids=lambda value: "+".join(value))
def test_an_option_changes_the_loss_alike_in_both_paths(losses, option, beside):
    (loss, gradient), (wanted, wanted_gradient) = losses(**beside, **option)
    torch.testing.assert_close(loss, wanted, rtol=1e-9, atol=1e-12)
    assert (gradient - wanted_gradient).norm() < 1e-9 * wanted_gradient.norm()
    key = str(beside)
    if key not in plain:
        plain[key] = losses(**beside)[0][1]
    assert (gradient - plain[key]).norm() > 1e-3 * plain[key].norm()


def test_padding_changes_nothing(losses):
    (loss, gradient), _ = losses(**SEQUENCES)
    for padded, its_gradient in losses(**SEQUENCES, pad_to_multiple_of=16):
        torch.testing.assert_close(padded, loss, rtol=1e-9, atol=1e-12)
        assert (its_gradient - gradient).norm() < 1e-9 * gradient.norm()


def test_a_head_in_float32(losses):
    (loss, gradient), (wanted, wanted_gradient) = losses(tied=False, **SEQUENCES, cast_lm_head_to_fp32=True)
    torch.testing.assert_close(loss, wanted, rtol=1e-4, atol=1e-6)
    assert (gradient - wanted_gradient).norm() < 1e-5 * wanted_gradient.norm()
