"""RePo in the Hugging Face Trainer, whole or by LoRA; ended early, it goes on from its last checkpoint.

    pip install 'repo-pipeline[examples]'
    python examples/trainer.py my-model text.txt out [--lora] [--steps 100]

`out/final` loads in stock transformers with `trust_remote_code=True`. The position maps are new, so
LoRA trains them whole. For runs of a real size, and for baselines to compare with: docs/guide.md.
"""

import argparse
from pathlib import Path

from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

import repo_model

MAPS = ["gate_map", "content_map", "final_map"]

parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
parser.add_argument("base", help="a folder or hub id of a supported family, with its tokenizer")
parser.add_argument("text", type=Path, help="UTF-8 text to train on")
parser.add_argument("out", type=Path)
parser.add_argument("--lora", action="store_true", help="train q, k, v by LoRA, and the maps")
parser.add_argument("--steps", type=int, default=100)
parser.add_argument("--start-layer", type=int, default=0, help="the first that learns positions")
parser.add_argument("--length", type=int, default=512, help="tokens of a sample")
options = parser.parse_args()

tokenizer = AutoTokenizer.from_pretrained(options.base)
model = repo_model.load(options.base, positions="repo", start_layer=options.start_layer)
if options.lora:
    projections = r".*\.self_attn\.(q_proj|k_proj|v_proj|qkv_proj)"
    lora = LoraConfig(task_type="CAUSAL_LM", target_modules=projections, modules_to_save=MAPS)
    model = get_peft_model(model, lora)

ids = tokenizer(options.text.read_text(encoding="utf-8"))["input_ids"]
starts = range(0, len(ids) - options.length + 1, options.length)
windows = [ids[start : start + options.length] for start in starts]
trainer = Trainer(
    model,
    TrainingArguments(
        options.out,
        max_steps=options.steps,
        save_steps=max(1, options.steps // 10),
        logging_steps=1,
        per_device_train_batch_size=2,
        learning_rate=1e-4,
        report_to="none",
    ),
    train_dataset=[{"input_ids": window, "labels": window} for window in windows],
)
begun = options.out.is_dir() and get_last_checkpoint(options.out)
trainer.train(resume_from_checkpoint=begun or None)

if options.lora:
    model = model.merge_and_unload()
model.save_pretrained(options.out / "final")
tokenizer.save_pretrained(options.out / "final")
