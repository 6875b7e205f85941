"""Measured peaks of real training steps, one process each run: a script of test_memory."""

import gc
import json
import resource
import sys

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from veneer.student.memory import Load, explained, needed, out_of_memory, shape_of


def status(name):
    with open("/proc/self/status") as lines:
        return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


def model_of(kind, width, inner, layers, heads, vocabulary, block):
    sizes = {"vocab_size": vocabulary, "bos_token_id": 0, "eos_token_id": 0}
    if kind == "gpt2":
        more = {"n_embd": width, "n_inner": inner, "n_layer": layers, "n_head": heads}
        off = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        return GPT2LMHeadModel(GPT2Config(n_positions=block, **sizes, **more, **off))
    more = {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers}
    more |= {"num_attention_heads": heads, "max_position_embeddings": block}
    return LlamaForCausalLM(LlamaConfig(**sizes, **more, tie_word_embeddings=True))


def train(model, load, rows, steps=2):
    model.set_attn_implementation(load.attention)
    if load.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    optimiser = torch.optim.AdamW(model.train().parameters(), fused=True)
    ids = torch.randint(0, load.shape.vocabulary, (rows, load.block))
    for _ in range(steps):
        with torch.autocast("cpu", torch.bfloat16, enabled=load.precision == "bf16"):
            logits = model(input_ids=ids, use_cache=False).logits.flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(logits.float(), ids.flatten())
        loss.backward()
        del loss, logits
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


def load_of(model, block, batch, **more):
    return Load(shape_of(model), block, batch, **more)


def measured(sizes, block, rows, **more):
    """(estimated, measured) bytes of a run."""
    gc.collect()
    before = status("VmRSS")
    with open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")  # the peak starts anew
    model = model_of(*sizes, block)
    load = load_of(model, block, rows, **more)
    train(model, load, rows)
    return needed(load, rows).total, status("VmHWM") - before


def ended(sizes, block, batch, spare):
    """What is said of a run that takes more than `spare` bytes, and whether a smaller one goes."""
    model = model_of(*sizes, block)
    load = load_of(model, block, batch)
    train(model, load, 1)
    limit = status("VmSize") + spare
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try:
        train(model, load, batch)
    except RuntimeError as error:
        said = explained(error, load, batch, there=spare)
        told = {"known": out_of_memory(error), "raw": str(error)[:300], "said": str(said)}
        said.__cause__ = None  # its traceback holds the tensors of the pass
    else:
        return {"known": None}
    gc.collect()
    train(model, load, int(said.hint.split()[2]), 1)
    return told


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(tiny := model_of("llama", 32, 32, 1, 2, 50, 16), load_of(tiny, 16, 1), 1)
    runs, oom = json.loads(sys.argv[1])
    print(json.dumps([[measured(*run[:3], **run[3]) for run in runs], ended(*oom)]))
