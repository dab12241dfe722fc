#!/usr/bin/env bash
# Measures what DoRA costs beside LoRA on this machine: the same training step with and without it, in turns.
# usage: dora.sh MODEL, an encoder without a head (.onnx file or folder)
# Environment: ROUNDS (default 10).
set -euo pipefail

model="$(realpath "${1:?usage: dora.sh MODEL}")"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
(cd "$root" && mvn -q -B -pl bench -am -DskipTests package)
export OMP_WAIT_POLICY=PASSIVE TORCH_CPP_LOG_LEVEL=ERROR
java -Dai.djl.offline=true -cp "$root/bench/target/classes:$(cat "$root/bench/target/classpath.txt")" \
  io.peft4j.bench.DoraCost "$model" "${ROUNDS:-10}"
