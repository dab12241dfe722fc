"""The LoRA step of io.peft4j.bench.LoraStep in HF PEFT. Prints one line of JSON.

usage: lora_step.py MODEL_FOLDER STEPS
"""

import json
import os
import statistics
import sys
import time

ROWS, LENGTH, LABELS, WARM_UP, DROPOUT = 32, 64, 10, 3, 0.1


def seconds_since_process_start():
    with open("/proc/self/stat") as file:
        ticks = int(file.read().rsplit(")", 1)[1].split()[19])
    with open("/proc/uptime") as file:
        uptime = float(file.read().split()[0])
    return uptime - ticks / os.sysconf("SC_CLK_TCK")


def peak_megabytes():
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1e3


def main():
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import BertForSequenceClassification

    folder, steps = sys.argv[1], int(sys.argv[2])
    torch.manual_seed(0)
    model = BertForSequenceClassification.from_pretrained(
        folder,
        num_labels=LABELS,
        hidden_dropout_prob=DROPOUT,
        attention_probs_dropout_prob=DROPOUT,
        classifier_dropout=DROPOUT,
    )
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=8,
        lora_alpha=16,
        lora_dropout=DROPOUT,
        target_modules=r".*\.layer\.\d+\.(intermediate|output)\.dense",
    )
    model = get_peft_model(model, config).train()
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-3, weight_decay=0.01)
    mask = torch.ones(ROWS, LENGTH, dtype=torch.long)
    types = torch.zeros(ROWS, LENGTH, dtype=torch.long)
    times = []
    for step in range(WARM_UP + steps):
        ids = torch.randint(1000, 30522, (ROWS, LENGTH))
        labels = torch.randint(0, LABELS, (ROWS,))
        start = time.perf_counter()
        loss = model(
            input_ids=ids, attention_mask=mask, token_type_ids=types, labels=labels
        ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        if step == 0:
            startup = seconds_since_process_start()
        if step >= WARM_UP:
            times.append((time.perf_counter() - start) * 1e3)
    print(
        json.dumps(
            {
                "tool": "peft",
                "stepMillis": statistics.median(times),
                "startupSeconds": startup,
                "peakMemoryMegabytes": peak_megabytes(),
            }
        )
    )


if __name__ == "__main__":
    main()
