// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "files.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/io/annotations.hpp>
#include <sp2dpo/schedule/aggregator.hpp>

namespace sp2dpo::io {
namespace {

using test::error_of;
using test::Folder;
using test::slurp;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view least =
    R"({"pair_id":"a","annotator":"x","prompt":"p","category":"style","magnitude":0.5,)"
    R"("confidence":1})";

std::vector<Annotation> read(std::string_view text, const AnnotationReaderOptions& options = {}) {
  const Folder folder;
  return read_annotations(folder.write("a.jsonl", text), options);
}

/// The minimal line with a field set to this JSON, or removed.
std::string with(const std::string& field, const std::string& value) {
  std::string line(least);
  const auto key = "\"" + field + "\":";
  if (const auto start = line.find(key); start != std::string::npos) {
    const auto end = std::min(line.find(',', start), line.size() - 1);
    line.erase(start, end - start + (line[end] == ',' ? 1 : 0));
    if (line[line.size() - 2] == ',') line.erase(line.size() - 2, 1);
  }
  if (!value.empty()) line.insert(line.size() - 1, "," + key + value);
  return line;
}

TEST(AnnotationReader, ReadsTheRequiredFieldsAndKeepsTheDefaultsOfOthers) {
  const auto one = read(least).at(0);
  EXPECT_EQ(one.pair_id, "a");
  EXPECT_EQ(one.annotator, "x");
  EXPECT_EQ(one.prompt, "p");
  EXPECT_EQ(one.category, Categories().at("style"));
  EXPECT_EQ(one.magnitude, 0.5);
  EXPECT_EQ(one.confidence, 1);
  EXPECT_EQ(one.preferred, Preferred::chosen);
  EXPECT_FALSE(one.order.has_value());
  EXPECT_EQ(one.sample, 0);
  EXPECT_EQ(one.rationale, "");
  EXPECT_EQ(one.meta, "");
}

TEST(AnnotationReader, ReadsAllFieldsAndResetsThemForTheNextRow) {
  const Folder folder;
  AnnotationReader reader(folder.write(
      "a.jsonl",
      R"({"pair_id":7,"annotator":"x","prompt":"p","category":"safety","magnitude":1e-3,)"
      R"("confidence":0.25,)"
      R"("preferred":"tie","order":"rejected_first","sample":3,"rationale":"why",)"
      R"("meta":{"request":"k","a":1},"new":[{}]})"
      "\n" +
          std::string(least)));
  Annotation one;
  ASSERT_TRUE(reader.next(one));
  EXPECT_EQ(one.pair_id, "7");
  EXPECT_EQ(one.magnitude, 0.001);
  EXPECT_EQ(one.preferred, Preferred::tie);
  EXPECT_EQ(one.order, Order::rejected_first);
  EXPECT_EQ(one.sample, 3);
  EXPECT_EQ(one.rationale, "why");
  EXPECT_EQ(one.meta, R"({"a":1,"request":"k"})");
  ASSERT_TRUE(reader.next(one));
  EXPECT_EQ(one.preferred, Preferred::chosen);
  EXPECT_FALSE(one.order.has_value());
  EXPECT_EQ(one.sample, 0);
  EXPECT_EQ(one.rationale + one.meta, "");
}

TEST(AnnotationReader, ChecksEveryFieldByTypeAndRange) {
  struct Case {
    const char *field, *value, *message;
  };
  for (const auto& [field, value, message] :
       {Case{"pair_id", "", "is missing"},
        Case{"annotator", "", "is missing"},
        Case{"prompt", "", "is missing"},
        Case{"category", "", "is missing"},
        Case{"magnitude", "", "is missing"},
        Case{"confidence", "", "is missing"},
        Case{"pair_id", "1.5", "expected a string or an integer, not 1.5"},
        Case{"annotator", "\"\"", "expected a name"},
        Case{"annotator", "3", "expected a string, not 3"},
        Case{"prompt", "null", "expected a string, not null"},
        Case{"category", "\"tone\"",
             "unknown category \"tone\"; expected one of: safety, factuality, instruction"},
        Case{"category", "1", "expected a string"},
        Case{"magnitude", "1.01", "expected a number in [0, 1], not 1.01"},
        Case{"magnitude", "-0.1", "expected a number in [0, 1], not -0.1"},
        Case{"magnitude", "\"0.5\"", "expected a number, not \"0.5\""},
        Case{"magnitude", "true", "expected a number, not true"},
        Case{"magnitude", "NaN", "NaN and Infinity"},
        Case{"confidence", "2", "expected a number in [0, 1], not 2"},
        Case{"confidence", "null", "expected a number, not null"},
        Case{"preferred", "\"left\"", "expected chosen, rejected or tie, not \"left\""},
        Case{"preferred", "null", "expected a string"},
        Case{"order", "\"first\"", "expected chosen_first or rejected_first, not \"first\""},
        Case{"sample", "-1", "expected an integer in [0, 2147483647], not -1"},
        Case{"sample", "1.0", "expected an integer, not 1.0"},
        Case{"sample", "2147483648", "not 2147483648"},
        Case{"rationale", "[]", "expected a string, not []"}}) {
    const auto error =
        error_of([&] { (void)read(std::string(least) + "\n" + with(field, value)); });
    EXPECT_EQ(error.field, field) << value;
    EXPECT_EQ(error.line, 2) << field << value;
    EXPECT_THAT(error.what(), HasSubstr(message)) << field << value;
  }
}

// Plain rows take a faster path, which other rows must not take.
TEST(AnnotationReader, ReadsARowIndependentlyOfItsSpelling) {
  const auto plain = read(least).at(0);
  const auto expect_same = [&](const std::string& line) {
    SCOPED_TRACE(line);
    const auto other = read(line).at(0);
    EXPECT_EQ(other.pair_id, plain.pair_id);
    EXPECT_EQ(other.annotator, plain.annotator);
    EXPECT_EQ(other.prompt, plain.prompt);
    EXPECT_EQ(other.category, plain.category);
    EXPECT_EQ(other.magnitude, plain.magnitude);
    EXPECT_EQ(other.confidence, plain.confidence);
  };
  for (const auto& [field, value] : {std::pair{"pair_id", R"("\u0061")"},
                                     {"annotator", R"("\u0078")"},
                                     {"confidence", "1.0"},
                                     {"magnitude", "5e-1"},
                                     {"magnitude", "0.50000"},
                                     {"unknown", R"({"a":[1,{"b":null}]})"},
                                     {"unknown", R"("\"")"},
                                     {"annotator", "  \t\"x\" "}})
    expect_same(with(field, value));
  std::string escaped_key(least);
  escaped_key.replace(escaped_key.find("prompt"), 6, "pr\\u006fmpt");
  expect_same(escaped_key);
  expect_same(std::string(least) + " \r");

  EXPECT_EQ(read(with("rationale", R"("a \"quoted\" \\ \u00e9")")).at(0).rationale,
            "a \"quoted\" \\ \u00e9");
  EXPECT_EQ(read(with("pair_id", "17")).at(0).pair_id, "17");
  EXPECT_EQ(read(with("meta", R"({"b":1,"a":2})")).at(0).meta, R"({"a":2,"b":1})");
}

TEST(AnnotationReader, RefusesInvalidJsonAnywhereInARow) {
  const std::string line(least);
  for (const auto& bad :
       {line + "}", line + " {}", line + line, line.substr(0, line.size() - 1), "[" + line + "]",
        "[" + line, with("magnitude", "01"), with("magnitude", "0.5.5"), with("magnitude", ".5"),
        with("sample", "+1"), with("confidence", "1,"), with("rationale", "\"a\tb\""),
        with("rationale", "\"\xff\""), with("rationale", "'a'"), with("rationale", "\"a"),
        with("unknown", "tru"), with("rationale", R"("\x")"), with("rationale", R"("\ud83d")")}) {
    const auto error = error_of([&] { (void)read(line + "\n" + bad + "\n"); });
    EXPECT_EQ(error.line, 2) << bad;
  }
  EXPECT_THAT(
      error_of([&] { (void)read(line.substr(0, line.size() - 1) + R"(,"prompt":"p"})"); }).what(),
      HasSubstr("duplicate key"));
}

TEST(AnnotationReader, ReturnsTheRowsOfALargeFileInOrderWithTheirLines) {
  const Folder folder;
  std::string text;
  constexpr int n = 20'000;
  for (int i = 0; i < n; ++i) {
    if (i % 50 == 7) text += "\n";
    if (i % 1000 == 500)
      text += with("magnitude", "2") + '\n';
    else if (i % 300 < 70)
      text += with("unknown", "[]") + '\n';
    else
      text += with("sample", std::to_string(i)) + '\n';
  }
  AnnotationReader reader(folder.write("a.jsonl", text), {.lenient = true});
  int i = -1;
  std::int64_t line = 0;
  const auto go_on = [&] {
    ++i;
    line += i % 50 == 7 ? 2 : 1;
  };
  while (const Annotation* const annotation = reader.next()) {
    go_on();
    if (i % 1000 == 500) go_on();
    ASSERT_EQ(reader.line(), line);
    ASSERT_EQ(annotation->sample, i % 300 < 70 ? 0 : i);
  }
  EXPECT_EQ(i, n - 1);
  EXPECT_EQ(reader.n_skipped(), n / 1000);
  EXPECT_EQ(reader.skipped().at(0).line, 501 + 500 / 50);
  EXPECT_EQ(reader.bytes_read(), static_cast<std::int64_t>(text.size()));
}

TEST(AnnotationReader, UsesTheGivenCategories) {
  const auto annotations =
      read(with("category", "\"tone\""), {.categories = Categories({"content", "tone"})});
  EXPECT_EQ(annotations.at(0).category, static_cast<Category>(1));
}

TEST(AnnotationWriter, WritesCanonicalLinesThatReadBackUnchanged) {
  const Folder folder;
  AnnotationWriter writer(folder / "a.jsonl");
  writer.write({.pair_id = "a\"\n",
                .annotator = "x",
                .prompt = "p",
                .category = Categories().at("style"),
                .magnitude = 0.1 + 0.2,
                .confidence = 1,
                .preferred = Preferred::rejected,
                .order = Order::chosen_first,
                .sample = 2,
                .rationale = "na\u00efve",
                .meta = R"({ "b": 1, "a": 2.0 })"});
  writer.write({.pair_id = "b", .annotator = "x", .prompt = "p"});
  EXPECT_EQ(writer.rows(), 2);
  writer.finish();
  EXPECT_EQ(
      slurp(folder / "a.jsonl"),
      "{\"annotator\":\"x\",\"category\":\"style\",\"confidence\":1.0,\"magnitude\":0."
      "30000000000000004,"
      "\"meta\":{\"a\":2.0,\"b\":1},\"order\":\"chosen_first\",\"pair_id\":\"a\\\"\\n\","
      "\"preferred\":\"rejected\",\"prompt\":\"p\",\"rationale\":\"na\u00efve\",\"sample\":2}\n"
      "{\"annotator\":\"x\",\"category\":\"safety\",\"confidence\":0.0,\"magnitude\":0.0,"
      "\"pair_id\":\"b\",\"preferred\":\"chosen\",\"prompt\":\"p\",\"sample\":0}\n");

  const auto back = read_annotations(folder / "a.jsonl");
  ASSERT_EQ(back.size(), 2u);
  EXPECT_EQ(back[0].pair_id, "a\"\n");
  EXPECT_EQ(back[0].magnitude, 0.1 + 0.2);
  EXPECT_EQ(back[0].order, Order::chosen_first);
  EXPECT_EQ(back[0].meta, R"({"a":2.0,"b":1})");

  AnnotationWriter again(folder / "b.jsonl");
  for (const auto& annotation : back) again.write(annotation);
  again.finish();
  EXPECT_EQ(slurp(folder / "b.jsonl"), slurp(folder / "a.jsonl"));
}

TEST(AnnotationWriter, RefusesWhatTheReaderWouldRefuse) {
  const Folder folder;
  const Annotation good{.pair_id = "a", .annotator = "x", .prompt = "p"};
  {
    AnnotationWriter writer(folder / "a.jsonl");
    const auto refused = [&](auto change) {
      Annotation bad = good;
      change(bad);
      EXPECT_THROW(writer.write(bad), InvalidArgument);
    };
    refused([](Annotation& bad) { bad.pair_id.clear(); });
    refused([](Annotation& bad) { bad.annotator.clear(); });
    refused([](Annotation& bad) { bad.prompt.clear(); });
    refused([](Annotation& bad) { bad.magnitude = std::numeric_limits<double>::quiet_NaN(); });
    refused([](Annotation& bad) { bad.confidence = 1.5; });
    refused([](Annotation& bad) { bad.sample = -1; });
    refused([](Annotation& bad) { bad.category = static_cast<Category>(6); });
    refused([](Annotation& bad) { bad.meta = "{"; });
    refused([](Annotation& bad) { bad.meta = R"({"a":1,"a":2})"; });
    refused([](Annotation& bad) { bad.rationale = "\xFF"; });
    EXPECT_EQ(writer.rows(), 0);
  }
  EXPECT_THAT(folder.names(), IsEmpty());
  EXPECT_THROW(AnnotationWriter(folder / "a.jsonl.gz"), InvalidArgument);
}

TEST(AddTo, NamesTheLineOfAnAnnotationThatTheBuilderRefuses) {
  const Folder folder;
  const auto unknown =
      folder.write("u.jsonl", std::string(least) + "\n" + with("pair_id", "\"b\""));
  const auto twice = folder.write("t.jsonl", std::string(least) + "\n" + with("magnitude", "0.1"));
  struct Case {
    const std::filesystem::path& path;
    const char *field, *message;
  };
  for (const auto& [path, field, message] :
       {Case{unknown, "pair_id", "unknown pair b"}, Case{twice, "", "two annotations"}}) {
    for (const bool lenient : {false, true}) {
      VoteTable builder({"a"});
      AnnotationReader reader(path, {.lenient = lenient});
      Annotation annotation;
      ASSERT_TRUE(reader.next(annotation));
      EXPECT_TRUE(add_to(builder, annotation, reader));
      ASSERT_TRUE(reader.next(annotation));
      if (lenient) {
        EXPECT_FALSE(add_to(builder, annotation, reader));
        EXPECT_FALSE(reader.next(annotation));
        EXPECT_EQ(reader.rows(), 1);
        EXPECT_EQ(reader.skipped().at(0).line, 2);
      } else {
        const auto error = error_of([&] { (void)add_to(builder, annotation, reader); });
        EXPECT_EQ(error.file, path.string());
        EXPECT_EQ(error.line, 2);
        EXPECT_EQ(error.field, field);
        EXPECT_THAT(error.what(), HasSubstr(message));
      }
      EXPECT_EQ(builder.n_annotations(), 1u);
    }
  }
}

}  // namespace
}  // namespace sp2dpo::io
