// SPDX-License-Identifier: Apache-2.0
#include <set>
#include <string>
#include <vector>

#include "../io/files.hpp"
#include "questions.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/annotate/panel_config.hpp>

namespace sp2dpo::annotate {
namespace {

using sp2dpo::test::error_of;
using sp2dpo::test::Folder;
using testing::ElementsAre;
using testing::HasSubstr;

PanelConfig read(std::string_view text) {
  const Folder folder;
  return read_panel_config(folder.write("panel.toml", text));
}

DataError refusal_of(std::string_view text) {
  return error_of([&] { static_cast<void>(read(text)); });
}

constexpr std::string_view papers_panel = R"([[teacher]]
preset = "qwen-max"

[[teacher]]
preset = "gpt-5-mini"
price = { prompt = 1, completion = 0, date = "2026-01-01", batch_factor = 0.5 }

[[teacher]]
preset = "gemini-2.0-flash"
requests_per_minute = 900
timeout = 1.5
)";

TEST(PanelConfig, ThePapersPanelHasThreePresetsAndThreePrompts) {
  const PanelConfig panel = read(papers_panel);
  ASSERT_EQ(panel.judges.size(), 3);
  EXPECT_EQ(panel.prompts.size(), 3);
  EXPECT_EQ(panel.judges[0].endpoint.key_variable, "DASHSCOPE_API_KEY");
  EXPECT_FALSE(panel.judges[0].price);
  EXPECT_FALSE(panel.judges[1].decoding.temperature);
  EXPECT_EQ(panel.judges[1].capabilities.max_tokens_field, "max_completion_tokens");
  EXPECT_EQ(panel.judges[1].price->completion, 0);
  EXPECT_EQ(panel.judges[1].price->batch_factor, 0.5);
  EXPECT_EQ(panel.judges[2].endpoint.requests_per_minute, 900);
  EXPECT_EQ(panel.judges[2].endpoint.timeout.count(), 1500);
  EXPECT_EQ(panel_members(panel, {}).size(), 9);
}

TEST(PanelConfig, ReadsEveryKeyOfAJudge) {
  const PanelConfig panel = read(R"(
form = "blind"
orders = "both"
samples = 2
seed = 5
prompts = ["direct", "criteria"]
[[category]]
name = "style"
[[category]]
name = "truth"
meaning = "is it so"
[[teacher]]
name = "mine"
model = "m/7b"
family = "m"
revision = "abc"
base_url = "http://localhost:1234/v1"
key_variable = "MY_KEY"
max_concurrent = 3
reasks = 0
first_sample = 10
[teacher.can]
structured = "text"
seed = true
logprobs = true
[teacher.decoding]
max_tokens = 9
temperature = 1
seed = 3
top_logprobs = 4
[teacher.decoding.extra]
stop = ["x", "y"]
enable_thinking = false
budget = { tokens = 5, share = 0.5 }
)");
  EXPECT_EQ(panel.samples, 2);
  EXPECT_EQ(panel.prompts.at(0).name(), "direct-blind");
  EXPECT_THAT(std::vector(panel.prompts[0].categories().names().begin(),
                          panel.prompts[0].categories().names().end()),
              ElementsAre("style", "truth"));
  const Judge& judge = panel.judges.at(0);
  EXPECT_EQ(judge.revision, "abc");
  EXPECT_EQ(judge.decoding.temperature, 1);
  EXPECT_EQ(judge.decoding.extra.at("stop"), R"(["x","y"])");
  EXPECT_EQ(judge.decoding.extra.at("enable_thinking"), "false");
  EXPECT_EQ(judge.decoding.extra.at("budget"), R"({"share":0.5,"tokens":5})");
  EXPECT_EQ(judge.endpoint.max_concurrent, 3);

  const auto members = panel_members(panel, {});
  ASSERT_EQ(members.size(), 8);  // two prompts, two orders, two samples
  std::set<std::string> keys;
  for (const auto& member : members) {
    const PreferencePair pair = test::plain_pair();
    const Question question = member.about(pair.id);
    EXPECT_TRUE(question.order);
    keys.insert(make_request(question, pair).key);
    EXPECT_EQ(member.judge->reasks, 0);
  }
  EXPECT_EQ(keys.size(), 8);
  EXPECT_EQ(members[0].sample, 10);
  EXPECT_EQ(members[1].sample, 11);
}

TEST(PanelConfig, NamesErrorsWithTheirLine) {
  const auto with = [](std::string_view line) {
    return refusal_of("[[teacher]]\npreset = \"vllm\"\nmodel = \"m\"\n" + std::string(line) + "\n");
  };
  EXPECT_THAT(with("modle = \"x\"").what(), HasSubstr("panel.toml:4: field \"teacher[0].modle\": "
                                                      "unknown key; expected one of: allow_http,"));
  EXPECT_THAT(with("timeout = \"5\"").what(),
              HasSubstr(":4: field \"teacher[0].timeout\": expected a number, got a value of type "
                        "string"));
  EXPECT_THAT(with("max_concurrent = 1.5").what(), HasSubstr("expected an integer"));
  EXPECT_THAT(with("max_concurrent = 0").what(), HasSubstr("expected an integer in [1, 10000]"));
  EXPECT_THAT(with("requests_per_minute = nan").what(), HasSubstr("expected a number in"));
  EXPECT_THAT(with("allow_http = 1").what(), HasSubstr("expected true or false"));
  EXPECT_THAT(with("price = { prompt = 1 }").what(), HasSubstr("price.completion\": is missing"));
  EXPECT_THAT(with("price = { prompt = -1, completion = 1 }").what(), HasSubstr("got -1"));
  EXPECT_THAT(with("can = { seeds = true }").what(), HasSubstr("teacher[0].can.seeds"));
  EXPECT_THAT(with("can = { structured = \"yes\" }").what(),
              HasSubstr("expected one of \"json_schema\", \"json_object\", \"text\", got \"yes\""));
  EXPECT_THAT(with("can = { seed = false }\ndecoding = { seed = 1 }").what(),
              HasSubstr("seed is set, and can.seed is false"));
  EXPECT_THAT(with("decoding.extra = { model = \"x\" }").what(), HasSubstr("not allowed in extra"));
  EXPECT_THAT(with("decoding.extra = { since = 1979-05-27 }").what(), HasSubstr("date or time"));
  EXPECT_THAT(with("can = { finish_reasons = [\"\"] }").what(), HasSubstr("has an empty item"));
  EXPECT_THAT(with("headers = { X-N = 1 }").what(), HasSubstr("headers.X-N\": expected a string"));
  EXPECT_THAT(with("decoding.extra = { stream = false }").what(), HasSubstr("always sent"));
  EXPECT_EQ(with("x = = 1").line, 4);

  EXPECT_THAT(refusal_of("[[teacher]]\npreset = \"gpt-6\"").what(),
              HasSubstr("unknown preset \"gpt-6\"; expected one of: qwen3.7-max, gpt-6.1-terra,"));
  EXPECT_THAT(refusal_of("[[teacher]]\nname = \"x\"").what(), HasSubstr("model\": is missing"));
  EXPECT_THAT(refusal_of("seed = 1").what(), HasSubstr("expected at least one [[teacher]]"));
  EXPECT_THAT(refusal_of("orders = \"both\"\n" + std::string(papers_panel)).what(),
              HasSubstr(":1: field \"orders\": applies to the blind form only"));
  EXPECT_THAT(
      refusal_of("prompts = [\"direkt\"]\n" + std::string(papers_panel)).what(),
      HasSubstr("unknown prompt \"direkt\"; expected one of: adversarial, criteria, direct"));
  EXPECT_THAT(error_of([] { static_cast<void>(read_panel_config("no/such.toml")); }).what(),
              HasSubstr("no/such.toml"));
}

TEST(PanelConfig, AddressesAndHeadersAreRefusedWithTheirLineAndJudge) {
  const auto with = [](std::string_view line) {
    return std::string(
        refusal_of("[[teacher]]\npreset = \"vllm\"\nname = \"ada\"\nmodel = \"m\"\n" +
                   std::string(line) + "\n")
            .what());
  };
  for (const auto& [line, key] :
       {std::pair{R"(base_url = "localhost:8000/v1")", "base_url"},
        std::pair{R"(base_url = "http://127.x.example/v1")", "base_url"},
        std::pair{R"(base_url = "https://example.com/v1?key=1")", "base_url"},
        std::pair{R"(base_url = "https://example.com/v1/v1")", "base_url"},
        std::pair{R"(proxy = "http://me:pass@proxy")", "proxy"},
        std::pair{R"(key_variable = "sk-not-a-real-key-0123456789")", "key_variable"},
        std::pair{R"(key_header = "a b")", "key_header"},
        std::pair{R"(headers = { Authorization = "x" })", "headers"}}) {
    const std::string refusal = with(line);
    EXPECT_THAT(refusal,
                HasSubstr(fmt::format("panel.toml:5: field \"teacher[0].{}\": ada: ", key)));
    EXPECT_THAT(refusal, testing::Not(testing::AnyOf(HasSubstr("not-a-real"), HasSubstr("pass@"))));
  }
}

TEST(PanelConfig, ReadsHeadersAndFinishReasons) {
  const PanelConfig panel = read(R"([[teacher]]
preset = "vllm"
model = "m"
base_url = "https://res.openai.azure.com/openai/deployments/d?api-version=2024-10-21"
key_header = "api-key"
headers = { X-Team = "judges" }
can = { finish_reasons = ["done", "finished"] }
)");
  const Judge& judge = panel.judges.at(0);
  EXPECT_THAT(judge.origin, testing::EndsWith("panel.toml:1"));
  EXPECT_EQ(judge.endpoint.key_header, "api-key");
  EXPECT_EQ(judge.endpoint.headers.at("X-Team"), "judges");
  EXPECT_THAT(judge.endpoint.finish_reasons, ElementsAre("done", "finished"));
}

TEST(PanelConfig, PresetsOfModelsThatAreGoneStayReadable) {
  for (const char* const name : {"qwen-max", "gpt-5-mini", "gemini-2.0-flash", "qwen3.7-max",
                                 "gpt-6.1-terra", "gemini-3.5-flash-lite"})
    EXPECT_EQ(read(fmt::format("[[teacher]]\npreset = \"{}\"\n", name)).judges[0].name, name);
}

std::vector<std::string> prompts_in(const PanelConfig& config) {
  std::vector<std::string> prompts;
  for (const auto& prompt : config.prompts)
    prompts.push_back(prompt.name() + " v" + std::to_string(prompt.version()));
  return prompts;
}

TEST(PanelConfig, PromptsAreOfTheLatestVersionUnlessTheFileOrTheStoreSaysOtherwise) {
  const std::string panel(papers_panel);
  EXPECT_THAT(prompts_in(read("prompts = [\"direct\"]\n" + panel)), ElementsAre("direct v2"));
  EXPECT_THAT(prompts_in(read("prompts = [\"direct@1\", \"criteria\"]\n" + panel)),
              ElementsAre("direct v1", "criteria v2"));
  EXPECT_THAT(prompts_in(read("form = \"blind\"\nprompts = [\"direct@1\"]\n" + panel)),
              ElementsAre("direct-blind v1"));
  const Folder folder;
  const auto path = folder.write("panel.toml", "prompts = [\"direct\", \"criteria@2\"]\n" + panel);
  EXPECT_THAT(prompts_in(read_panel_config(path, {}, 1)), ElementsAre("direct v1", "criteria v2"));
  EXPECT_THAT(prompts_in(read(panel)), ElementsAre("adversarial v2", "criteria v2", "direct v2"));
}

TEST(PanelConfig, TwoVersionsOfAPromptCarryTheVersionInTheirNames) {
  const std::string panel(papers_panel);
  EXPECT_THAT(prompts_in(read("prompts = [\"direct@1\", \"direct\", \"criteria\"]\n" + panel)),
              ElementsAre("direct@1 v1", "direct@2 v2", "criteria v2"));
  const auto blind = read("form = \"blind\"\nprompts = [\"direct@1\", \"direct@2\"]\n" + panel);
  EXPECT_THAT(prompts_in(blind), ElementsAre("direct-blind@1 v1", "direct-blind@2 v2"));
  EXPECT_THAT(refusal_of("prompts = [\"direct\", \"direct@2\"]\n" + panel).what(),
              HasSubstr("duplicate prompt \"direct\""));
}

TEST(PanelConfig, RefusalsOfAVersionNameTheKnownOnes) {
  const std::string panel(papers_panel);
  EXPECT_THAT(refusal_of("prompts = [\"direct@3\"]\n" + panel).what(),
              HasSubstr("unknown version 3 of prompt \"direct\"; known versions: 1, 2"));
  EXPECT_THAT(refusal_of("prompts = [\"direct@new\"]\n" + panel).what(),
              HasSubstr("\"direct@new\": expected a version number behind the @"));
  EXPECT_THAT(
      refusal_of("prompts = [\"direkt@1\"]\n" + panel).what(),
      HasSubstr("unknown prompt \"direkt\"; expected one of: adversarial, criteria, direct"));
}

TEST(PanelConfig, CategoriesWithoutAMeaningTakeThatOfThePromptsVersion) {
  const std::string text =
      "prompts = [\"direct@1\", \"direct@2\"]\n[[category]]\nname = \"style\"\n" +
      std::string(papers_panel);
  const auto panel = read(text);
  EXPECT_THAT(panel.prompts.at(0).system(), HasSubstr("1. style: tone, wording, layout or length, "
                                                      "and nothing of the above"));
  EXPECT_THAT(panel.prompts.at(1).system(), HasSubstr("1. style: the responses differ only in"));
}

TEST(PanelConfig, RefusesTwoJudgesWithTheSameRequests) {
  const std::string one = "[[teacher]]\npreset = \"vllm\"\nmodel = \"m\"\nname = \"a\"\n";
  const std::string other = "[[teacher]]\npreset = \"vllm\"\nmodel = \"m\"\nname = \"b\"\n";
  EXPECT_THAT(refusal_of(one + other).what(),
              HasSubstr(":8: field \"teacher[1].name\": \"b\" would send the same requests as "
                        "\"a\""));
  EXPECT_THAT(refusal_of(one + one).what(), HasSubstr("two judges are called \"a\""));
  EXPECT_NO_THROW(read(one + other + "first_sample = 1\n"));
  EXPECT_NO_THROW(read(one + other + "revision = \"2\"\n"));
  EXPECT_THAT(refusal_of("samples = 2\n" + one + other + "first_sample = 1\n").what(),
              HasSubstr("same requests"));
}

TEST(PanelConfig, ReadsTemplatesFromTheFolderThatTheFileNames) {
  const Folder folder;
  std::filesystem::create_directory(folder / "mine");
  std::string text =
      sp2dpo::test::slurp(std::filesystem::path(SP2DPO_PROMPTS_FOLDER) / "direct.md");
  text.replace(text.find("name: direct"), 12, "name: own");
  folder.write("mine/own.md", text);
  const auto path =
      folder.write("panel.toml", "prompts_folder = \"mine\"\n" + std::string(papers_panel));
  EXPECT_EQ(read_panel_config(path).prompts.at(0).name(), "own");
  EXPECT_EQ(read_panel_config(path, SP2DPO_PROMPTS_FOLDER).prompts.size(), 3);
}

TEST(PanelConfig, RandomOrdersDependOnThePairAndAreBalanced) {
  int first = 0, changed = 0;
  for (int i = 0; i < 4000; ++i) {
    const std::string id = "pair-" + std::to_string(i);
    EXPECT_EQ(random_order(id, 1), random_order(id, 1));
    first += random_order(id, 1) == Order::chosen_first ? 1 : 0;
    changed += random_order(id, 1) != random_order(id, 2) ? 1 : 0;
  }
  EXPECT_NEAR(first, 2000, 160);  // five standard deviations
  EXPECT_NEAR(changed, 2000, 160);
}

TEST(PanelMembers, ReadTheRepliesToTheirQuestions) {
  const PanelConfig panel = read("form = \"blind\"\n" + std::string(papers_panel));
  const auto members = panel_members(panel, {});
  const PreferencePair pair = test::plain_pair();
  for (const auto& member : members) {
    if (member.id().prompt != "direct-blind") continue;
    const Question question = member.about(pair.id);
    const std::string key = make_request(question, pair).key;
    const auto read = read_reply(
        question, pair, key,
        test::body_with(R"({"preferred":"A","category":"style","magnitude":1,"confidence":1})"));
    const auto& annotation = std::get<Annotation>(read);
    EXPECT_EQ(annotation.annotator, member.judge->name);
    EXPECT_EQ(annotation.order, random_order(pair.id, panel.seed));
    EXPECT_EQ(annotation.preferred,
              question.order == Order::chosen_first ? Preferred::chosen : Preferred::rejected);
    EXPECT_THAT(annotation.meta, HasSubstr(key));

    const auto prose = read_reply(question, pair, key, test::body_with("A, I think"));
    EXPECT_EQ(std::get<AnnotationFailure>(prose).kind, AnnotationFailure::Kind::no_verdict);
  }
}

}  // namespace
}  // namespace sp2dpo::annotate
