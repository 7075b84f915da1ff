#!/usr/bin/env bash
# Makes everything in data/ from scratch: one NVIDIA GPU, Python 3.10+ with torch, transformers 5, tokenizers.
#
#   data/make/make.sh WORK [STAGE ...]      stages: corpus mixtral nllb checksums check (all, in this order)
#
# WORK is a folder for what is not kept (corpus, token files; about 0.6 GB). DATA, another target than data/, and
# MIXTRAL_ARGS, NLLB_ARGS, CORPUS_ARGS, RECORD_MIXTRAL_ARGS, RECORD_NLLB_ARGS, TOKENIZER_ARGS (further arguments of
# the scripts) come from the environment.
# The corpus is what the machine's own Python packages hold: another machine makes other, equally valid data.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${1:?usage: make.sh WORK [STAGE ...]}
shift
data=${DATA:-$(dirname "$here")}
mkdir -p "$work" "$data"
work=$(cd "$work" && pwd)
data=$(cd "$data" && pwd)
export PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=true PYTHONDONTWRITEBYTECODE=1
cd "$here"

say() { echo "== $* ($SECONDS s)"; }

corpus() {
  python3 build_corpus.py --out "$work/corpus" ${CORPUS_ARGS:-}
  python3 build_tokenizer.py --corpus "$work/corpus" --out "$work/tokenizer" ${TOKENIZER_ARGS:-}
  cp "$work/corpus/sources.csv" "$data/corpus-sources.csv"
}

mixtral() {
  python3 train_mixtral.py --corpus "$work/corpus" --tokenizer "$work/tokenizer" --out "$data/mixtral" ${MIXTRAL_ARGS:-}
  say "record mixtral"
  python3 record_mixtral.py --corpus "$work/corpus" --model "$data/mixtral" --data "$data" ${RECORD_MIXTRAL_ARGS:-}
  python3 make_goldens.py --data "$data" mixtral
}

nllb() {
  python3 train_nllb.py --corpus "$work/corpus" --tokenizer "$work/tokenizer" --out "$data/nllb-moe" ${NLLB_ARGS:-}
  say "record nllb"
  python3 record_nllb.py --corpus "$work/corpus" --model "$data/nllb-moe" --data "$data" ${RECORD_NLLB_ARGS:-}
  python3 make_goldens.py --data "$data" nllb
}

checksums() {
  (cd "$data" && find corpus-sources.csv golden mixtral nllb-moe slices traces -type f | LC_ALL=C sort | xargs sha256sum > SHA256SUMS)
}

check() { python3 check_data.py "$data"; }

for stage in ${@:-corpus mixtral nllb checksums check}; do
  say "$stage"
  "$stage"
done
say done
