# Sourced by same_results.sh: makes the inputs of the cases in the current folder.

# gold <annotations.jsonl>: a CSV of labels for every third pair, which follow from its id alone.
gold() {
  sed -E 's/.*"pair_id": ?"([^"]*)".*/\1/' "$1" | awk 'BEGIN { print "pair_id,preferred" }
    !seen[$0]++ && ++n % 3 == 1 {
      print $0 "," (n % 7 == 1 ? "tie" : n % 5 < 2 ? "rejected" : "chosen")
    }'
}

# weights <annotations.jsonl>: a weight for each annotator.
weights() {
  echo annotator,weight
  sed -E 's/.*"annotator": ?"([^"]*)".*/\1/' "$1" | sort -u | awk '{ print $0 "," 0.5 * NR }'
}

# sampled <pairs> <annotators>: annotations with both orders, all verdicts, samples and gaps in the
# panel; the numbers come from a generator of our own, since those of awk programs differ.
sampled() {
  awk -v pairs="$1" -v annotators="$2" '
    function next_number() { state = (state * 16807) % 2147483647; return state / 2147483647 }
    BEGIN {
      state = 20261130
      split("safety factuality instruction reasoning helpfulness style", category, " ")
      split("direct criteria adversarial", prompt, " ")
      split("chosen chosen chosen rejected tie", preferred, " ")
      split("chosen_first rejected_first", order, " ")
      for (pair = 0; pair < pairs; ++pair) {
        strength = next_number()
        kind = 1 + int(6 * next_number())
        for (a = 1; a <= annotators; ++a)
          for (p = 1; p <= 3; ++p) {
            noise = next_number(); sure = next_number(); lot = next_number()
            if (pair > 50 && lot < 0.01) continue
            magnitude = 0.7 * strength + 0.3 * noise
            printf "{\"pair_id\":\"pair-%06d\",\"annotator\":\"judge-%d\",\"prompt\":\"%s\",", pair, a, prompt[p]
            printf "\"category\":\"%s\",\"magnitude\":%.3f,\"confidence\":%.3f", category[lot < 0.2 ? 1 + int(30 * lot) : kind], magnitude, 0.4 + 0.6 * sure
            if (p < 3) printf ",\"preferred\":\"%s\"", preferred[1 + int(5 * noise)]
            if (p == 1) printf ",\"order\":\"%s\"", order[1 + (pair + a) % 2]
            print "}"
            if (p == 1 && lot > 0.9)
              printf "{\"pair_id\":\"pair-%06d\",\"annotator\":\"judge-%d\",\"prompt\":\"direct\",\"category\":\"%s\",\"magnitude\":%.3f,\"confidence\":0.5,\"order\":\"%s\"}\n", pair, a, category[kind], noise, order[2 - (pair + a) % 2]
          }
      }
    }'
}

# texts <pairs>: the pairs that sampled() annotates.
texts() {
  awk -v pairs="$1" 'BEGIN {
    words = "the loss of a pair grows with the margin of its response and its beta bounds the drift "
    for (pair = 0; pair < pairs; ++pair) {
      chosen = substr(words words, 1 + pair % 37, 20 + (pair * 7) % 90)
      rejected = substr(words words, 1 + pair % 41, 20 + (pair * 13) % 90)
      printf "{\"id\":\"pair-%06d\",\"prompt\":\"question %d \\u00e9\\n\",\"chosen\":\"%s\",\"rejected\":\"%s no\",\"source\":{\"n\":%d}}\n", pair, pair, chosen, rejected, pair
    }
  }'
}

# conversations <pairs>: the same ids as lists of messages.
conversations() {
  texts "$1" | sed -E 's/"prompt":("[^"]*")/"prompt":[{"role":"user","content":\1}]/
    s/"(chosen|rejected)":("[^"]*")/"\1":[{"role":"assistant","content":\2}]/g'
}

# ratings <units>: a table of four raters with missing cells.
ratings() {
  awk -v units="$1" 'BEGIN {
    print "unit,rater,value"
    for (unit = 0; unit < units; ++unit)
      for (rater = 0; rater < 4; ++rater)
        print "u" unit ",r" rater "," ((unit * 5 + rater) % 11 == 0 ? "" : 1 + (unit * unit + rater * (unit % 3)) % 5)
  }'
}

# preferences <instructions>: two models against a baseline.
preferences() {
  awk -v n="$1" 'BEGIN {
    print "model,index,len_baseline,len_model,preference"
    for (model = 0; model < 2; ++model)
      for (i = 0; i < n; ++i)
        print "model-" model "," i "," 100 + (i * 37) % 900 "," 80 + (i * 53 + model) % 1200 "," 1 + ((i * 29 + model * 11) % 100) / 100
  }'
}
