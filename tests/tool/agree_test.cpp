// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <string>

#include "program.hpp"
#include <gmock/gmock.h>

namespace sp2dpo::tool {
namespace {

using testing::HasSubstr;

/// Annotations by two annotators, {pair id: magnitude}.
std::string annotations(const std::map<std::string, std::string>& magnitudes) {
  std::string rows;
  for (const auto& [pair, magnitude] : magnitudes)
    for (const std::string annotator : {"x", "y"})
      rows += R"({"pair_id":")" + pair + R"(","annotator":")" + annotator +
              R"(","prompt":"p","category":"style","confidence":1,"magnitude":)" + magnitude +
              "}\n";
  return rows;
}

class AgreeCommand : public testing::Test {
 protected:
  Outcome agree(const std::string& rows, const std::string& more = "") {
    folder_.write("r.csv", "unit,rater,value\n" + rows);
    return run(folder_, "agree --ratings r.csv --json o.json " + more);
  }
  std::string json() { return slurp(folder_ / "o.json"); }

  Folder folder_;
};

TEST_F(AgreeCommand, WritesEveryFigureUnderItsKey) {
  const auto outcome =
      agree("1,a,1\n1,b,1\n2,a,2\n2,b,3\n3,a,4\n3,b,4\n4,a,\n4,b,1\n", "--replicates 0");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const char* key :
       {R"("krippendorff_alpha":{"interval":)", R"("nominal":)", R"("ordinal":)", R"("ratio":)",
        R"("fleiss_kappa":)", R"("gwet_ac1":)", R"("gwet_ac2":{"linear":)", R"("quadratic":)",
        R"("icc":{"1,1":)", R"("3,k":)", R"("cohen_kappa":[{"a":"a","b":"b","n":3,)",
        R"("spearman":[)", R"("kendall_tau_b":[)"})
    EXPECT_THAT(json(), HasSubstr(key));
  EXPECT_THAT(outcome.out,
              HasSubstr("every unit needs the same number of values; some have 2, some 1"));
}

TEST_F(AgreeCommand, ComputesOnlyNominalFiguresForNames) {
  EXPECT_EQ(agree("1,a,yes\n1,b,yes\n2,a,no\n2,b,no\n").status, 0);
  EXPECT_THAT(json(),
              HasSubstr(R"("interval":{"ci":null,"n":0,"reason":"\"yes\" is not a number)"));
  EXPECT_THAT(json(),
              HasSubstr(R"("fleiss_kappa":{"ci":[1.0,1.0],"n":2,"reason":null,"value":1.0})"));
}

TEST_F(AgreeCommand, NamesADuplicateCellAndAValueOutsideTheList) {
  auto outcome = agree("1,a,1\n1,a,2\n");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err,
              HasSubstr("r.csv:3: field \"rater\": duplicate value for unit 1 by rater a"));
  outcome = agree("1,a,1\n1,b,3\n", "--categories 1,2");
  EXPECT_THAT(outcome.err, HasSubstr("r.csv:3: field \"value\": \"3\" is not among --categories"));
  outcome = agree("1,a,1\n1,b,nan\n");
  EXPECT_THAT(outcome.err, HasSubstr("expected a number, not \"nan\""));
  EXPECT_EQ(run(folder_, "agree").status, 2);
}

TEST_F(AgreeCommand, AcceptsAnnotations) {
  folder_.write("a.jsonl", annotations({{"a", "0.25"}, {"b", "0.5"}, {"c", "1"}}));
  const auto outcome = run(folder_, "agree --annotations a.jsonl --json o.json --replicates 0");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(json(), HasSubstr(R"("by_prompt":{"p":{"annotators":{"x":)"));
  EXPECT_THAT(json(), HasSubstr(R"("interval":{"ci":null,"n":3,"reason":null,"value":1.0})"));
  EXPECT_THAT(json(), HasSubstr("only one value occurs"));
}

TEST_F(AgreeCommand, DiagnosesEachAnnotatorAlone) {
  const auto pair = [](const std::string& id, const std::string& chosen) {
    return R"({"id":")" + id + R"(","prompt":"p","chosen":")" + chosen + R"(","rejected":"abc"})" +
           "\n";
  };
  folder_.write("p.jsonl", pair("a", "a") + pair("b", "abcdef") + pair("c", "abcdefgh"));
  std::string rows;
  const auto said = [&](const std::string& id, const char* preferred, const char* order) {
    rows += R"({"pair_id":")" + id +
            R"(","annotator":"x","prompt":"p","category":"style","confidence":1,"magnitude":1,)" +
            R"("preferred":")" + preferred + R"(","order":")" + order + "\"}\n";
  };
  said("a", "rejected", "chosen_first");
  said("a", "rejected", "rejected_first");
  said("b", "chosen", "chosen_first");
  said("b", "rejected", "rejected_first");
  folder_.write("a.jsonl", rows);
  const auto outcome =
      run(folder_, "agree --annotations a.jsonl --pairs p.jsonl --json o.json --replicates 0");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const char* figure :
       {R"("annotators":{"x":{"first_preferred":{"ci":null,"n":4,"reason":null,"value":0.75})",
        R"("longer_preferred":{"ci":null,"n":4,"reason":null,"value":0.75})",
        R"("parse_rate":{"ci":null,"n":3,"reason":null,"value":0.6666666666666666})",
        R"("positional_agreement":{"ci":null,"n":2,"reason":null,"value":0.5})"})
    EXPECT_THAT(json(), HasSubstr(figure));
  folder_.write("p.jsonl", pair("a", "a"));
  EXPECT_THAT(run(folder_, "agree --annotations a.jsonl --pairs p.jsonl").err,
              HasSubstr("unknown pair b"));
  EXPECT_EQ(run(folder_, "agree --ratings r.csv --pairs p.jsonl").status, 2);
}

TEST_F(AgreeCommand, ListsTheBadAnnotationsThatLenientLeavesOut) {
  folder_.write("a.jsonl", annotations({{"a", "0.5"}, {"b", "0.5"}, {"c", "0.5"}}) + "{}\n");
  EXPECT_EQ(run(folder_, "agree --annotations a.jsonl").status, 1);
  const auto outcome = run(folder_, "agree --annotations a.jsonl --lenient");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("a.jsonl: 1 row left out:\n  a.jsonl:7: field"));
}

}  // namespace
}  // namespace sp2dpo::tool
