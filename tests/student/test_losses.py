"""Losses against torch's own on explicit softmaxes, in double precision."""

import pytest

from veneer.errors import InputError

VOCABULARY = 23


def model(seed=0, kind="llama", vocabulary=VOCABULARY, tie=True):
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.models.auto import CONFIG_MAPPING

    torch.manual_seed(seed)
    shape = {"vocab_size": vocabulary, "tie_word_embeddings": tie, "initializer_range": 0.5}
    if kind == "gpt2":
        shape |= {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32, "resid_pdrop": 0.0}
        shape |= {"embd_pdrop": 0.0, "attn_pdrop": 0.0}
    else:
        shape |= {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        shape |= {"intermediate_size": 24, "num_key_value_heads": 2, "head_dim": 8}
        shape |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    if kind == "gemma2":  # soft-caps its logits after the output layer
        shape |= {"final_logit_softcapping": 2.0}
    if kind == "granite":  # divides them
        shape |= {"logits_scaling": 3.0}
    config = CONFIG_MAPPING[kind](**shape)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager").double()


def batch(seed=1, rows=3, block=12, vocabulary=VOCABULARY):
    import torch

    torch.manual_seed(seed)
    ids = torch.randint(3, vocabulary, (rows, block))
    labels = torch.where(torch.rand(rows, block) < 0.5, ids, torch.full_like(ids, -100))
    return {"ids": ids, "labels": labels}


def softmaxes(model, batch, temperature=1.0, tokens=None):
    """Every prediction of a plain forward pass: (rows, block − 1, tokens) probabilities."""
    logits = model(input_ids=batch["ids"]).logits[:, :-1, :tokens]
    return (logits / temperature).softmax(-1)


def close(a, b, tolerance=2e-6):
    """The losses are fp32 where these sums are double."""
    import torch

    torch.testing.assert_close(a.double(), b.double(), rtol=tolerance, atol=tolerance)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in model.parameters()]


@pytest.fixture(params=["whole", "chunks"])
def _pieces(request, monkeypatch):
    if request.param == "chunks":
        monkeypatch.setattr("veneer.student.losses.LOGITS_AT_ONCE", 5 * VOCABULARY)


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2", "granite"])
def test_imitation_is_the_plain_loss_and_has_its_gradient(kind):
    import torch

    from veneer.student.losses import imitation_loss

    student, given = model(kind=kind), batch()
    plain = 0.0
    for row, probabilities in enumerate(softmaxes(student, given)):
        for at, label in enumerate(given["labels"][row, 1:].tolist()):
            if label != -100:
                plain = plain - probabilities[at, label].log()
    loss = imitation_loss(student, given)
    close(loss, plain)
    for ours, theirs in zip(gradients(student, loss), gradients(student, plain), strict=True):
        close(ours, theirs, 1e-5)
    assert torch.isfinite(loss)


def test_chunks_are_bounded(monkeypatch):
    """No output layer call sees more positions than its logits may take."""
    from veneer.student import losses

    monkeypatch.setattr(losses, "LOGITS_AT_ONCE", 5 * VOCABULARY)
    student, given = model(), batch()
    seen = []
    hook = student.lm_head.register_forward_hook(
        lambda _, __, out: seen.append(out[..., 0].numel())
    )
    losses.imitation_loss(student, given).backward()
    hook.remove()
    labelled = int((given["labels"][:, 1:] != -100).sum())
    assert max(seen) == 5
    assert sum(seen) == 2 * labelled  # once forward, once more for the gradient


def test_positions_reach_the_model():
    """Documents in one block with restarting positions cost what they cost alone."""
    import torch

    from veneer.student.losses import imitation_loss

    student = model()
    student.set_attn_implementation("sdpa")
    one, two = batch(1, rows=1, block=7), batch(2, rows=1, block=5)
    for each in (one, two):
        each["labels"][:, 0] = -100
    joined = {key: torch.cat([one[key], two[key]], dim=1) for key in one}
    positions = torch.cat([torch.arange(7), torch.arange(5)])[None]
    apart = imitation_loss(student, one) + imitation_loss(student, two)
    close(imitation_loss(student, joined | {"positions": positions}), apart)
    assert abs(imitation_loss(student, joined) - apart) > 1e-3


def test_nothing_labelled_costs_nothing():
    import torch

    from veneer.student.losses import imitation_loss

    given = batch()
    given["labels"] = torch.full_like(given["labels"], -100)
    loss = imitation_loss(model(), given)
    loss.backward()
    assert loss == 0


@pytest.mark.usefixtures("_pieces")
def test_kl_to_the_base_by_hand():
    import torch

    from veneer.student.losses import imitation_loss, kl_to

    student, base, given = model(0), model(5), batch()
    was, now = softmaxes(base, given), softmaxes(student, given)
    by_torch = torch.nn.functional.kl_div(now.log(), was, reduction="sum")  # KL(base ‖ student)
    by_hand = (was * (was / now).log()).sum()
    close(by_torch, by_hand, 1e-12)
    plain = imitation_loss(student, given) + 0.3 * by_hand
    loss = kl_to(base, 0.3)(student, given)
    close(loss, plain)
    for ours, theirs in zip(gradients(student, loss), gradients(student, plain), strict=True):
        close(ours, theirs, 1e-5)
    assert all(p.grad is None and not p.requires_grad for p in base.parameters())
    close(kl_to(model(0), 0.3)(student, given), imitation_loss(student, given))


@pytest.mark.parametrize("in_one_row", [False, True])
def test_kl_counts_documents_and_no_padding(in_one_row):
    """Two documents of 3 and 5 tokens and 4 of padding, in two rows or these end to end."""
    import torch

    from veneer.student.losses import imitation_loss, kl_to

    student, base, given = model(0), model(5), batch(rows=2)
    given["labels"] = torch.full_like(given["ids"], -100)
    for at in (2, 7):  # each document ends in an answer
        given["labels"][:, at] = given["ids"][:, at]
    given["positions"] = torch.tensor([0, 1, 2, 0, 1, 2, 3, 4, 0, 1, 2, 3]).repeat(2, 1)
    if in_one_row:
        given = {key: value.reshape(1, -1) for key, value in given.items()}
    places = {"position_ids": given["positions"], "use_cache": False}
    was, now = (m(input_ids=given["ids"], **places).logits.softmax(-1) for m in (base, student))
    each = (was * (was / now).log()).sum(-1).reshape(-1, 12)[:2]
    text = each[:, [0, 1, 3, 4, 5, 6]].sum()  # tokens that predict the next of their document
    close(kl_to(base, 2.0)(student, given) - imitation_loss(student, given), 2 * text)


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("rows", [VOCABULARY, VOCABULARY + 9])
def test_distillation_by_hand(rows):
    """A teacher whose matrix is padded with rows that name no token is read without them."""
    import torch

    from veneer.student.losses import distilled, imitation_loss

    student, teacher, given = model(0), model(5, vocabulary=rows), batch()
    weight, temperature = 0.7, 2.0
    kept = given["labels"][:, 1:] != -100
    told = softmaxes(teacher, given, temperature, VOCABULARY)[kept]
    said = softmaxes(student, given, temperature)[kept]
    soft = torch.nn.functional.kl_div(said.log(), told, reduction="sum")
    close(soft, (told * (told / said).log()).sum(), 1e-12)
    plain = 0.3 * imitation_loss(student, given) + 0.7 * temperature**2 * soft
    loss = distilled(teacher, weight, temperature, VOCABULARY)(student, given)
    close(loss, plain)
    for ours, theirs in zip(gradients(student, loss), gradients(student, plain), strict=True):
        close(ours, theirs, 1e-5)


def test_distillation_of_a_padded_student_by_finite_differences():
    """The student's own padding rows take no part in the comparison."""
    import torch

    from veneer.student.losses import distilled

    student, teacher = model(0, vocabulary=VOCABULARY + 4, tie=False), model(5)
    loss = distilled(teacher, 1.0, 1.5, VOCABULARY)
    given = batch()
    gradients(student, loss(student, given))
    row = student.lm_head.weight
    assert (row.grad[VOCABULARY:] == 0).all()
    step = 1e-3
    for at in ((4, 3), (9, 7)):
        sides = []
        for sign in (1, -1):
            with torch.no_grad():
                row[at] += sign * step
                sides.append(loss(student, given).item())
                row[at] -= sign * step
        assert row.grad[at].item() == pytest.approx(
            (sides[0] - sides[1]) / (2 * step), rel=1e-2, abs=1e-2
        )


def test_teacher_and_student_must_name_tokens_alike(make_tokenizer):
    from veneer.models.chat import add_chat_tokens
    from veneer.student.losses import same_tokens

    student, teacher = make_tokenizer(), make_tokenizer()
    add_chat_tokens(student)
    with pytest.raises(InputError, match=r"'<\|user\|>' is id 23 .* unknown in the teacher's"):
        same_tokens(teacher, student)
    add_chat_tokens(teacher)
    teacher.add_tokens(["more"])
    assert same_tokens(teacher, student) == len(student)
    other = make_tokenizer()
    other.add_tokens(["shift"])
    add_chat_tokens(other)
    with pytest.raises(InputError, match="id 23 in the student's vocabulary and id 24"):
        same_tokens(other, student)
