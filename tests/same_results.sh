#!/usr/bin/env bash
# Runs a base revision and this working tree side by side and compares what they write.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash tests/same_results.sh [option]...

Proves that results stay the same: losses and gradients bit for bit; schedules, annotations, joined
files and statistics byte for byte. Prints one line a case; exits with 1 if a case differs.

  --base REV           revision to compare with (default: 9368ac7)
  --shared DIR         folder with LLMBar and AlpacaEval numbers, for more cases
  --base-program FILE  sp2dpo of the base, instead of building it under build/same_results
  --program FILE       sp2dpo of this tree, instead of building it under build/same_results
  --provider FILE      the invented provider, which answers both programs
  --losses DIR:DIR     checkouts of the base and of this tree whose build/release or build/ci holds
                       the libraries; without it both are built
  --pairs N            size of the generated set (default: 60000)
  --only PATTERN       only the cases whose name matches
  --quick              the same as --pairs 3000

Known exceptions, which are not compared:
  the manifest's "program"; "reason" in JSON (wording); what is printed on stdout and stderr
  the built-in prompts: a new store uses version 2, so both programs get version 1 by --prompts, with
  the category meanings of version 1 in the panel's file. A store that the base wrote is continued
  with the built-in version 1
  the model that the invented provider names: it depends on the bytes of a request, which now say
  "stream": false
  import-scores, which the base lacks
  losses from hidden states in float16, whose gradients are rounded later than the base's, and those
  with precise in bfloat16, where the base rounds the reference; mean logits with a pair left out;
  the curvature of apo_down where a slope is 0
TEXT
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD work=$PWD/build/same_results
base=9368ac7 shared='' base_program='' program='' provider='' losses='' pairs=60000 only=.
while [ $# -gt 0 ]; do
  case "$1" in
    --base) base=$2; shift 2 ;;
    --shared) shared=$(cd "$2" && pwd); shift 2 ;;
    --base-program) base_program=$(realpath "$2"); shift 2 ;;
    --program) program=$(realpath "$2"); shift 2 ;;
    --provider) provider=$(realpath "$2"); shift 2 ;;
    --losses) losses=$2; shift 2 ;;
    --pairs) pairs=$2; shift 2 ;;
    --only) only=$2; shift 2 ;;
    --quick) pairs=3000; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
mkdir -p "$work"
. tests/same_results/data.sh

say() { printf 'same_results: %s\n' "$*"; }

# build <source> <build folder> <target>...: the release build without CUDA.
build() {
  local source=$1 folder=$2 log
  shift 2
  log=$folder.log
  say "building $* of $source (log: $log)"
  if ! { cmake -S "$source" -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release \
           -DSP2DPO_WITH_CUDA=OFF -DSP2DPO_BUILD_EXAMPLES=OFF &&
         cmake --build "$folder" --parallel "$(nproc)" --target "$@"; } >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    exit 1
  fi
}

base_source=$work/source
checkout_base() {
  [ ! -d "$base_source" ] || return 0
  mkdir "$base_source"
  git archive "$base" | tar -x -C "$base_source"
}

if [ -z "$base_program" ]; then
  checkout_base
  build "$base_source" "$work/base-build" sp2dpo
  base_program=$work/base-build/bin/sp2dpo
fi
if [ -z "$program" ]; then
  build . "$work/build" sp2dpo
  program=$work/build/bin/sp2dpo
fi

# --- inputs -----------------------------------------------------------------------------------
rm -rf "$work/in" "$work/base" "$work/head"
mkdir -p "$work/in" "$work/base" "$work/head"
say "making the inputs"
(
  cd "$work/in"
  cp "$root"/examples/data/{pairs,annotations}.jsonl .
  gold annotations.jsonl >gold.csv
  weights annotations.jsonl >weights.csv
  gzip -nk pairs.jsonl annotations.jsonl
  texts "$pairs" >big-pairs.jsonl
  sampled "$pairs" 3 >big-annotations.jsonl
  gold big-annotations.jsonl >big-gold.csv
  weights big-annotations.jsonl >big-weights.csv
  texts 800 >small-pairs.jsonl
  sampled 800 5 >small-annotations.jsonl
  gold small-annotations.jsonl >small-gold.csv
  weights small-annotations.jsonl >small-weights.csv
  conversations 800 >talks.jsonl
  cat small-pairs.jsonl small-pairs.jsonl >doubled-pairs.jsonl
  sed 's/"id":/"key":/' small-pairs.jsonl >keyed-pairs.jsonl
  head -n 1200 small-annotations.jsonl >first.jsonl
  tail -n +1201 small-annotations.jsonl >second.jsonl
  awk 'NR % 40 != 7 { print } NR % 40 == 7 { print "{\"pair_id\": 5" }' small-annotations.jsonl >broken.jsonl
  ratings 200 >ratings.csv
  preferences 300 >preferences.csv
  git -C "$root" show "$base:src/annotate/prompts" >/dev/null 2>&1 && mkdir prompts &&
    for name in adversarial criteria direct; do
      git -C "$root" show "$base:src/annotate/prompts/$name.md" >"prompts/$name.md"
    done
)

# --- cases ------------------------------------------------------------------------------------
same=0 different=0 skipped=0

# without_exceptions <file>: its bytes without those that may differ.
without_exceptions() {
  case "$1" in
    *manifest.json) sed -E 's/"program":"[^"]*",?//' "$1" ;;
    *.json) sed -E 's/"reason": ?("([^"\\]|\\.)*"|null)//g' "$1" ;;
    *.gz) gzip -dc "$1" | sed -E '1s/"program":"[^"]*",?//' ;;
    *) sed -E '1s/"program":"[^"]*",?//; s/-of-another-day//' "$1" ;;
  esac
}

differs() {
  printf 'DIFFERENT  %s: %s\n' "$1" "$2"
  different=$((different + 1))
}

# compare <case> <file>...: in the folders of both sides.
compare() {
  local name=$1 file
  shift
  for file in "$@"; do
    if [ ! -f "$work/base/$file" ] && [ ! -f "$work/head/$file" ]; then continue; fi
    if [ ! -f "$work/base/$file" ] || [ ! -f "$work/head/$file" ]; then
      differs "$name" "only one side wrote $file"
      return
    fi
    if ! cmp -s <(without_exceptions "$work/base/$file") <(without_exceptions "$work/head/$file"); then
      differs "$name" "$(cmp <(without_exceptions "$work/base/$file") \
        <(without_exceptions "$work/head/$file") 2>&1 | head -n 1), base/$file and head/$file"
      return
    fi
  done
  same=$((same + 1))
  printf 'same       %s\n' "$name"
  for file in "$@"; do rm -f "$work/base/$file" "$work/head/$file"; done
}

# both <case> <file>... -- <argument>...: runs both programs and compares exit status and files.
both() {
  local name=$1 files=() status_of_base=0 status=0
  shift
  while [ "$1" != -- ]; do files+=("$1"); shift; done
  shift
  [[ $name =~ $only ]] || return 0
  # The base records paths as typed.
  local paths=()
  case $1 in schedule) paths=(--full-paths) ;; esac
  (cd "$work/base" && exec "$base_program" "$@" >log 2>&1 </dev/null) &
  local other=$!
  (cd "$work/head" && exec "$program" "$@" ${paths[@]+"${paths[@]}"} >log 2>&1 </dev/null) || status=$?
  wait "$other" || status_of_base=$?
  if [ "$status" != "$status_of_base" ]; then
    differs "$name" "exit status $status_of_base before, $status now: $(tail -n 1 "$work/head/log")"
  elif [ "$status" != 0 ] && [ ${#files[@]} -gt 0 ] && [[ $name != *refuse* ]]; then
    differs "$name" "both fail with $status: $(tail -n 1 "$work/head/log")"
  else
    compare "$name" "${files[@]}"
  fi
}

# schedules <prefix> <annotator> <prompt> [aggregator]...: every aggregator, mapper and control over
# one set, and the aggregators named, which need both orders of a question.
schedules() {
  local set=$1 annotator=$2 prompt=$3 spec
  shift 3
  local of=(--pairs "../in/$set-pairs.jsonl" --annotations "../in/$set-annotations.jsonl" --missing drop)
  for spec in jmamp mean-mean median-median mean-median pooled-median trimmed-mean \
    trimmed-mean:share=0.1 "single:annotator=$annotator" "single:prompt=$prompt" \
    "single:annotator=$annotator,prompt=$prompt,of=mean-mean" "$@" centred centred:how=zscore \
    centred:how=rank,of=mean-mean centred:how=none reliability dawid-skene dawid-skene:of=centred \
    "weighted:table=../in/$set-weights.csv"; do
    both "$set: aggregator $spec" out.jsonl -- schedule "${of[@]}" --aggregator "$spec" \
      --out out.jsonl
  done
  for spec in linear category:safety=0.2..0.25,style=0.03..0.05 logistic \
    logistic:midpoint=0.3,slope=4 rank constant:beta=0.1 mean mean:of=rank random random:seed=9 \
    shuffled shuffled:seed=7,of=rank inverted inverted:of=logistic weight weight:of=rank; do
    both "$set: mapper $spec, joined" out.jsonl joined.jsonl -- schedule "${of[@]}" \
      --mapper "$spec" --out out.jsonl --join joined.jsonl
  done
  both "$set: envelope and gap range" out.jsonl -- schedule "${of[@]}" --out out.jsonl \
    --envelope 0.01,0.5 --gap-range=-1,1
  both "$set: base beta" out.jsonl -- schedule "${of[@]:0:4}" --missing base-beta=0.07 --out out.jsonl \
    --min-annotators 3 --min-prompts 3
  both "$set: too few annotators, dropped" out.jsonl manifest.json -- schedule "${of[@]}" \
    --min-prompts 3 --out out.jsonl --manifest manifest.json
  for spec in isotonic platt; do
    both "$set: calibrated, $spec" out.jsonl -- schedule "${of[@]}" --gold "../in/$set-gold.csv" \
      --calibration "$spec" --out out.jsonl --aggregator mean-mean
  done
  both "$set: agree --json" agree.json -- agree "${of[@]:0:4}" --json agree.json --replicates 100
  both "$set: compare --json" compare.json -- compare "${of[@]:0:4}" --gold "../in/$set-gold.csv" \
    --json compare.json --replicates 100
}

cp "$work/in/pairs.jsonl" "$work/in/example-pairs.jsonl"
cp "$work/in/annotations.jsonl" "$work/in/example-annotations.jsonl"
cp "$work/in/gold.csv" "$work/in/example-gold.csv"
cp "$work/in/weights.csv" "$work/in/example-weights.csv"
schedules example teacher-a direct
orders=(order-consensus order-consensus:otherwise=drop,of=pooled-median)
schedules small judge-2 criteria "${orders[@]}"
schedules big judge-1 adversarial "${orders[@]}"

small=(--pairs ../in/small-pairs.jsonl --annotations ../in/small-annotations.jsonl --missing drop --out out.jsonl)
both "gzip in" out.jsonl joined.jsonl -- schedule --pairs ../in/pairs.jsonl.gz \
  --annotations ../in/annotations.jsonl.gz --missing drop --out out.jsonl --join joined.jsonl
both "refuses to write gzip" out.jsonl.gz -- schedule "${small[@]:0:6}" --out out.jsonl.gz
both "two files of annotations" out.jsonl -- schedule --pairs ../in/small-pairs.jsonl \
  --annotations ../in/first.jsonl --annotations ../in/second.jsonl --missing drop --out out.jsonl
both "conversations, joined" out.jsonl joined.jsonl -- schedule --pairs ../in/talks.jsonl "${small[@]:2}" \
  --join joined.jsonl
both "another id field, joined" out.jsonl joined.jsonl -- schedule --pairs ../in/keyed-pairs.jsonl \
  --id-field key "${small[@]:2}" --join joined.jsonl
both "first of duplicate pairs, joined" out.jsonl joined.jsonl -- schedule \
  --pairs ../in/doubled-pairs.jsonl --duplicates first "${small[@]:2}" --join joined.jsonl
both "joined, to be read again" out.jsonl -- schedule "${small[@]}" --join joined.jsonl
both "joined again, overwritten" out.jsonl again.jsonl -- schedule --pairs joined.jsonl "${small[@]:2}" \
  --join again.jsonl --overwrite
both "other categories" out.jsonl -- schedule "${small[@]}" \
  --categories style,helpfulness,reasoning,instruction,factuality,safety
both "lenient" out.jsonl -- schedule --pairs ../in/small-pairs.jsonl --annotations ../in/broken.jsonl \
  --missing drop --lenient --out out.jsonl
both "agree without pairs" agree.json -- agree --annotations ../in/small-annotations.jsonl --json agree.json
both "agree --ratings" agree.json -- agree --ratings ../in/ratings.csv --json agree.json
both "agree --ratings with categories" agree.json -- agree --ratings ../in/ratings.csv \
  --categories 1,2,3,4,5,6 --json agree.json
both "winrate" winrate.json -- winrate --preferences ../in/preferences.csv --json winrate.json
both "refuses pairs without annotations" out.jsonl -- schedule --pairs ../in/big-pairs.jsonl \
  --annotations ../in/small-annotations.jsonl --out out.jsonl
both "refuses duplicate annotations" out.jsonl -- schedule --pairs ../in/small-pairs.jsonl \
  --annotations ../in/first.jsonl --annotations ../in/first.jsonl --out out.jsonl
both "refuses duplicate pairs" out.jsonl -- schedule --pairs ../in/doubled-pairs.jsonl "${small[@]:2}"
both "refuses broken annotations" out.jsonl -- schedule --pairs ../in/small-pairs.jsonl \
  --annotations ../in/broken.jsonl --out out.jsonl
both "refuses an unknown aggregator" out.jsonl -- schedule "${small[@]}" --aggregator none
both "refuses an unknown mapper" out.jsonl -- schedule "${small[@]}" --mapper none
both "refuses an unknown category" out.jsonl -- schedule "${small[@]}" --categories a,b

if [ -n "$shared" ]; then
  ln -sfn "$shared" "$work/in/shared"
  llmbar=(--pairs ../in/shared/pairs/llmbar_419.jsonl --votes ../in/shared/panel/llmbar_votes.csv
    --annotators GPT-4,ChatGPT,PaLM2 --prompts Vanilla,CoT,Metrics_Reference)
  both "LLMBar: import-votes" votes.jsonl -- import-votes "${llmbar[@]}" --category instruction \
    --out votes.jsonl
  both "LLMBar: import-votes by field" votes.jsonl -- import-votes "${llmbar[@]}" \
    --category-field meta.subset --out votes.jsonl \
    --category-map Natural=helpfulness,Adv-Neighbor=instruction,Adv-GPTInst=instruction,Adv-GPTOut=factuality,Adv-Manual=style
  (
    cd "$work/in"
    "$base_program" import-votes "${llmbar[@]}" --category instruction --out llmbar-annotations.jsonl
  ) >/dev/null
  cp "$shared/pairs/llmbar_419.jsonl" "$work/in/llmbar-pairs.jsonl"
  gold "$work/in/llmbar-annotations.jsonl" >"$work/in/llmbar-gold.csv"
  weights "$work/in/llmbar-annotations.jsonl" >"$work/in/llmbar-weights.csv"
  schedules llmbar GPT-4 CoT
  both "AlpacaEval: winrate" winrate.json -- winrate \
    --preferences ../in/shared/alpacaeval_lc/per_example.csv \
    --difficulty ../in/shared/alpacaeval_lc/instruction_difficulty.csv \
    --gamed ../in/shared/alpacaeval_lc/gamed_rows.csv --json winrate.json
fi

# --- annotate, with the invented provider -------------------------------------------------------
if [ -n "$provider" ]; then
  providers=()
  trap 'for one in ${providers[@]+"${providers[@]}"}; do kill "$one" 2>/dev/null || true; done' EXIT
  # serve <side>: starts a provider whose answers depend on the request alone; sets url_of_<side>.
  serve() {
    local side=$1 pipe=$work/$1.pipe
    rm -f "$pipe" "$work/$side.url"
    mkfifo "$pipe"
    "$provider" --faults 0.02 --seed 4 <"$pipe" >"$work/$side.url" &
    providers+=($!)
    exec {keep}>"$pipe"
    for _ in $(seq 50); do [ -s "$work/$side.url" ] && break || sleep 0.1; done
  }
  # meanings_of_base: the default categories with the base's meanings, read from its source.
  meanings_of_base() {
    git show "$base:src/annotate/prompt.cpp" | sed -n '/default_category_meanings() {/,/^}/p' |
      tr -d '\n' | sed -E 's/"[[:space:]]+"//g' | grep -oE '\{"[a-z]+",[[:space:]]*"[^"]*"\}' |
      sed -E 's/\{("[a-z]+"),[[:space:]]*("[^"]*")\}/[[category]]\nname = \1\nmeaning = \2/'
  }
  for side in base head; do
    serve "$side"
    for form in informed blind plain; do
      meanings=yes
      [ "$form" != plain ] || meanings=no
      {
        [ "$form" != blind ] || echo 'form = "blind"'
        [ "$form" != blind ] || echo 'orders = "both"'
        [ "$form" != blind ] || echo 'prompts = ["direct", "criteria"]'
        [ "$meanings" = no ] || meanings_of_base
        for name in ada bob; do
          printf '[[teacher]]\nname = "%s"\nmodel = "invented-%s"\nfamily = "invented"\nbase_url = "%s"\nprice = { prompt = 1.0, completion = 4.0 }\n' \
            "$name" "$name" "$(head -n 1 "$work/$side.url")"
        done
      } >"$work/$side/$form.toml"
    done
  done
  ask=(annotate --pairs ../in/pairs.jsonl --prompts ../in/prompts)
  for form in informed blind; do
    both "annotate, $form" "$form.jsonl" -- "${ask[@]}" --panel "$form.toml" --store "$form.db" \
      --out "$form.jsonl" --failures failures.jsonl
    both "annotate again, $form" again.jsonl -- "${ask[@]}" --panel "$form.toml" --store "$form.db" \
      --out again.jsonl --failures failures.jsonl
    both "reparse, $form" reparsed.jsonl -- "${ask[@]}" --panel "$form.toml" --store "$form.db" \
      --out reparsed.jsonl --failures failures.jsonl --reparse
    both "batch write, $form" ask.ada.0001.jsonl ask.bob.0001.jsonl -- batch write \
      --pairs ../in/small-pairs.jsonl --limit 200 --prompts ../in/prompts --panel "$form.toml" \
      --store "batch-$form.db" --out ask
  done
  # A store that the base wrote with its built-in prompts, continued by this tree.
  (cd "$work/base" && "$base_program" annotate --pairs ../in/pairs.jsonl --panel plain.toml \
    --store old.db --out old.jsonl --failures old.failures) >"$work/base/log" 2>&1 || true
  cp "$work/base/old.db" "$work/head/old.db"
  both "continue a store of the base" again.jsonl -- annotate --pairs ../in/pairs.jsonl \
    --panel plain.toml --store old.db --out again.jsonl --failures failures.jsonl
  both "reparse a store of the base" again.jsonl -- annotate --pairs ../in/pairs.jsonl \
    --panel plain.toml --store old.db --out again.jsonl --failures failures.jsonl --reparse
else
  say "annotate is not compared: name the invented provider with --provider"
  skipped=$((skipped + 1))
fi

# --- losses -----------------------------------------------------------------------------------
# Compiles one of the programs that hash losses against a checkout and its build.
compile() {  # <source> <checkout> <build> <output>
  local of_torch=()
  if [[ $1 == torch_losses ]]; then
    of_torch=(-L"$3/src/torch" "-Wl,-rpath,$3/src/torch" -lsp2dpo_torch -ltorch_cpu -lc10)
  fi
  ${CMAKE_CXX_COMPILER_LAUNCHER:-} "${CXX:-c++}" -std=c++20 -O1 -I"$2/include" -c "tests/same_results/$1.cpp" \
    -o "$4.o" &&
    "${CXX:-c++}" "$4.o" -o "$4" ${of_torch[@]+"${of_torch[@]}"} "$3/src/cpu/libsp2dpo_cpu.a" -lhwy -lfmt
}

library_folder() {  # <checkout>: its build that has the CPU kernels
  local folder
  for folder in "$1"/build/{release,ci,same_results/build}; do
    if [ -f "$folder/src/cpu/libsp2dpo_cpu.a" ]; then
      echo "$folder"
      return
    fi
  done
}

if [[ losses =~ $only ]]; then
  if [ -z "$losses" ]; then
    checkout_base
    torch_target=()
    [ ! -d /usr/include/torch ] || torch_target=(sp2dpo_torch)
    build "$base_source" "$work/base-build" sp2dpo_cpu ${torch_target[@]+"${torch_target[@]}"}
    build . "$work/build" sp2dpo_cpu ${torch_target[@]+"${torch_target[@]}"}
    sides=("$base_source" "$work/base-build" "$root" "$work/build")
  else
    sides=("${losses%%:*}" "$(library_folder "${losses%%:*}")" "${losses##*:}" "$(library_folder "${losses##*:}")")
  fi
  for kind in cpu_losses torch_losses; do
    if [ $kind = torch_losses ] && { [ ! -f "${sides[1]}/src/torch/libsp2dpo_torch.so" ] ||
      [ ! -f "${sides[3]}/src/torch/libsp2dpo_torch.so" ]; }; then
      say "the losses of sp2dpo::torch are not compared: it is not built on both sides"
      skipped=$((skipped + 1))
      continue
    fi
    compile $kind "${sides[0]}" "${sides[1]}" "$work/base/$kind"
    compile $kind "${sides[2]}" "${sides[3]}" "$work/head/$kind"
    for side in base head; do "$work/$side/$kind" >"$work/$side/$kind.txt"; done
    n=$(wc -l <"$work/base/$kind.txt")
    changed=$(diff "$work/base/$kind.txt" "$work/head/$kind.txt" | grep '^>' |
      grep -Ev 'hidden, .*(, Half|, float16|precise, BFloat16)|mean logits, .* an answer|pairs, apo_down, bfloat16' ||
      true)
    if [ -n "$changed" ]; then
      printf '%s\n' "$changed" | sed "s/^> /DIFFERENT  $kind: /"
      different=$((different + $(printf '%s\n' "$changed" | wc -l)))
    else
      printf 'same       %s: %s hashes\n' "$kind" "$n"
      same=$((same + n))
    fi
  done
fi

say "$same cases are the same, $different differ, $skipped skipped"
[ "$different" = 0 ]
