// SPDX-License-Identifier: Apache-2.0
// Errors that all JSON Lines readers share, tested with PairReader.
#include <string>
#include <string_view>
#include <vector>

#include "files.hpp"
#include <gmock/gmock.h>

#include <sp2dpo/io/pairs.hpp>
#include <sp2dpo/io/row_reader.hpp>

namespace sp2dpo::io {
namespace {

using test::error_of;
using test::Folder;
using testing::HasSubstr;

constexpr std::string_view good = R"({"id":"a","prompt":"p","chosen":"c","rejected":"r"})";

std::string row(std::string_view id) {
  return R"({"id":")" + std::string(id) + R"(","prompt":"p","chosen":"c","rejected":"r"})" + "\n";
}

struct BadLine {
  std::string_view name;
  std::string_view line;
  std::string_view field;
  std::string_view message;
};

class EveryReader : public testing::TestWithParam<BadLine> {};

TEST_P(EveryReader, RefusesTheLineWithFileLineAndField) {
  const Folder folder;
  const auto path = folder.write(
      "p.jsonl", std::string(good) + "\n" + std::string(GetParam().line) + "\n" + row("z"));
  const auto error = error_of([&] { (void)read_pairs(path); });
  EXPECT_EQ(error.file, path.string());
  EXPECT_EQ(error.line, 2);
  EXPECT_EQ(error.field, GetParam().field);
  EXPECT_THAT(error.what(), HasSubstr(GetParam().message));

  // A bad line does not affect the others.
  PairReader lenient(path, {.lenient = true});
  std::vector<std::string> ids;
  for (PreferencePair pair; lenient.next(pair);) ids.push_back(pair.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"a", "z"}));
  EXPECT_EQ(lenient.n_skipped(), 1);
  ASSERT_EQ(lenient.skipped().size(), 1u);
  EXPECT_EQ(lenient.skipped()[0].line, 2);
  EXPECT_STREQ(lenient.skipped()[0].what(), error.what());
}

using namespace std::string_view_literals;

INSTANTIATE_TEST_SUITE_P(
    Json, EveryReader,
    testing::Values(
        BadLine{"CutOff", R"({"id":"b","prompt":"p","chosen":"c)", "", "not a JSON object"},
        BadLine{"NoJson", "prompt: p", "", "not a JSON object"},
        BadLine{"List", R"(["b"])", "", "expected an object, not [\"b\"]"},
        BadLine{"TrailingGarbage", R"({"id":"b","prompt":"p","chosen":"c","rejected":"r"} x)", "",
                "not a JSON object"},
        BadLine{"TwoObjects", R"({"id":"b","prompt":"p","chosen":"c","rejected":"r"}{})", "",
                "not a JSON object"},
        BadLine{"NotUtf8", "{\"id\":\"b\",\"prompt\":\"\xFF\",\"chosen\":\"c\",\"rejected\":\"r\"}",
                "", "invalid UTF-8"},
        BadLine{"Nul", "{\"id\":\"b\",\"prompt\":\"\0\",\"chosen\":\"c\",\"rejected\":\"r\"}"sv, "",
                "not a JSON object"},
        BadLine{"ByteOrderMarkInside",
                "\xEF\xBB\xBF{\"id\":\"b\",\"prompt\":\"p\",\"chosen\":\"c\",\"rejected\":\"r\"}",
                "", "not a JSON object"},
        BadLine{"NaN", R"({"id":"b","prompt":"p","chosen":"c","rejected":"r","score":NaN})",
                "score", "NaN and Infinity are not valid JSON"},
        BadLine{
            "MinusInfinity",
            R"({"id":"b","prompt":"NaN: \"x\"","chosen":"c","score" : -Infinity,"rejected":"r"})",
            "score", "NaN and Infinity are not valid JSON"},
        BadLine{"WordInAFieldNobodyReads",
                R"({"id":"b","prompt":"p","chosen":"c","rejected":"r","x":tru})", "",
                "not a JSON object"},
        BadLine{"HugeNumber", R"({"id":"b","prompt":"p","chosen":"c","rejected":"r","x":1e999})",
                "", "not a JSON object"},
        BadLine{"DoubleKey", R"({"id":"b","prompt":"p","prompt":"q","chosen":"c","rejected":"r"})",
                "prompt", "duplicate key"},
        BadLine{
            "DoubleKeyInside",
            R"({"id":"b","prompt":"p","chosen":"c","rejected":"r","meta":{"a":[{"k":1,"k":2}]}})",
            "meta.a[0].k", "duplicate key"},
        BadLine{"LoneHighSurrogate",
                R"({"id":"b","prompt":"\\\ud83d","chosen":"c","rejected":"r"})", "prompt",
                "lone surrogate"},
        BadLine{"LoneLowSurrogate", R"({"id":"b","prompt":"x\uDE42y","chosen":"c","rejected":"r"})",
                "prompt", "lone surrogate"},
        BadLine{"HighSurrogateBeforeAnother",
                R"({"id":"b","prompt":"p","chosen":"\ud83d\ud83d\ude42","rejected":"r"})", "chosen",
                "lone surrogate"},
        BadLine{"HighSurrogateBeforeALetter",
                R"({"id":"b","prompt":"p","chosen":"\ud83d\u0041","rejected":"r"})", "chosen",
                "lone surrogate"},
        BadLine{"LoneSurrogateInside",
                R"({"id":"b","prompt":"p","chosen":"c","rejected":"r","meta":{"x":["\udfff"]}})",
                "x", "lone surrogate"},
        BadLine{"LoneSurrogateInAKey",
                R"({"id":"b","prompt":"p","chosen":"c","rejected":"r","\udfff":1})", "",
                "lone surrogate"},
        BadLine{"BadEscape", R"({"id":"b","prompt":"\x","chosen":"c","rejected":"r"})", "",
                "not a JSON object"}),
    [](const auto& line) { return std::string(line.param.name); });

TEST(RowReader, FindsADuplicateKeyAmongMany) {
  const Folder folder;
  std::string line(good.substr(0, good.size() - 1));
  for (int i = 0; i < 100; ++i) line += ",\"k" + std::to_string(i) + "\":" + std::to_string(i);
  const auto fine = folder.write("fine.jsonl", line + "}\n");
  EXPECT_EQ(read_pairs(fine).at(0).columns.size(), 100u);
  const auto path = folder.write("p.jsonl", line + ",\"k70\":0}\n");
  EXPECT_EQ(error_of([&] { (void)read_pairs(path); }).field, "k70");
}

TEST(RowReader, RefusesAByteOrderMark) {
  const Folder folder;
  const auto path = folder.write("p.jsonl", "\xEF\xBB\xBF" + row("a"));
  const auto error = error_of([&] { (void)read_pairs(path); });
  EXPECT_EQ(error.line, 1);
  EXPECT_THAT(error.what(), HasSubstr("byte order mark"));
}

TEST(RowReader, RefusesAFileWithoutRows) {
  const Folder folder;
  for (const auto bytes : {"", "\n", " \n\r\n\t\n"}) {
    const auto path = folder.write("p.jsonl", bytes);
    EXPECT_THAT(error_of([&] { (void)read_pairs(path); }).what(), HasSubstr("no rows"));
    EXPECT_THAT(error_of([&] { (void)read_pairs(path, {.lenient = true}); }).what(),
                HasSubstr("no rows"));
  }
}

TEST(RowReader, RefusesAFileWithoutAValidRowEvenIfLenient) {
  const Folder folder;
  const auto path = folder.write("p.jsonl", "{}\nx\n");
  const auto error = error_of([&] { (void)read_pairs(path, {.lenient = true}); });
  EXPECT_THAT(error.what(), HasSubstr("skipped 2"));
  EXPECT_THAT(error.what(), HasSubstr(":1: field \"chosen\": is missing"));
}

TEST(RowReader, SkipsBlankLinesAndCountsThem) {
  const Folder folder;
  const auto path = folder.write("p.jsonl", "\n" + row("a") + "  \t\n\r\n" + row("b") + "{}");
  EXPECT_EQ(error_of([&] { (void)read_pairs(path); }).line, 6);
}

TEST(RowReader, ReadsALastLineWithoutLineFeedAndCrLf) {
  const Folder folder;
  const auto path = folder.write("p.jsonl", std::string(good) + "\r\n" + row("b").substr(0, 51));
  const auto pairs = read_pairs(path);
  ASSERT_EQ(pairs.size(), 2u);
  EXPECT_EQ(pairs[1].id, "b");
}

TEST(RowReader, NamesAMissingFile) {
  const Folder folder;
  const auto path = folder / "none.jsonl";
  const auto error = error_of([&] { PairReader reader(path); });
  EXPECT_EQ(error.file, path.string());
  EXPECT_THAT(error.what(), HasSubstr("No such file"));
}

TEST(RowReader, RefusesAFolder) {
  const Folder folder;
  const auto error = error_of([&] { (void)read_pairs(folder / "."); });
  EXPECT_THAT(error.what(), HasSubstr("Is a directory"));
}

TEST(RowReader, ReadsLinesLongerThanItsBuffer) {
  const Folder folder;
  const std::string text(5'000'000, 'x');
  const auto path =
      folder.write("p.jsonl", row("a") + R"({"id":"b","prompt":")" + text +
                                  R"(","chosen":"c","rejected":"r"})" + "\n" + row("c"));
  const auto pairs = read_pairs(path);
  ASSERT_EQ(pairs.size(), 3u);
  EXPECT_EQ(std::get<std::string>(pairs[1].prompt), text);
  EXPECT_EQ(pairs[2].id, "c");
}

TEST(RowReader, ReadsGzipOfOneOrMoreMembers) {
  const Folder folder;
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += row("pair-" + std::to_string(i));
  ASSERT_GT(text.size(), std::size_t{1} << 20);
  const auto half = text.size() / 2;  // in the middle of a line
  folder.write("one.jsonl.gz", test::gzip(text));
  folder.write("two.jsonl.gz", test::gzip(text.substr(0, half)) + test::gzip(text.substr(half)));
  for (const auto name : {"one.jsonl.gz", "two.jsonl.gz"}) {
    const auto pairs = read_pairs(folder / name);
    ASSERT_EQ(pairs.size(), 20'000u) << name;
    EXPECT_EQ(pairs.back().id, "pair-19999");
  }
}

TEST(RowReader, RefusesTruncatedGzipEvenIfLenient) {
  const Folder folder;
  const std::string packed = test::gzip(row("a") + row("b"));
  // Cut before the last byte of the checksum, in the middle, in the header.
  for (const auto size : {packed.size() - 1, packed.size() / 2, std::size_t{5}}) {
    const auto path = folder.write("p.jsonl.gz", packed.substr(0, size));
    const auto error = error_of([&] { (void)read_pairs(path, {.lenient = true}); });
    EXPECT_EQ(error.file, path.string());
    EXPECT_THAT(error.what(), HasSubstr("truncated")) << size;
  }
}

TEST(RowReader, RefusesDamagedGzip) {
  const Folder folder;
  std::string packed = test::gzip(row("a"));
  packed[packed.size() - 6] ^= 1;  // of the checksum
  EXPECT_THAT(error_of([&] { (void)read_pairs(folder.write("a.gz", packed)); }).what(),
              HasSubstr("damaged"));
  EXPECT_THAT(error_of([&] { (void)read_pairs(folder.write("b.gz", row("a"))); }).what(),
              HasSubstr("not gzip"));
  EXPECT_THAT(
      error_of([&] { (void)read_pairs(folder.write("c.gz", test::gzip(row("a")) + "x")); }).what(),
      HasSubstr("truncated"));
  EXPECT_THAT(error_of([&] {
                (void)read_pairs(folder.write("d.gz", test::gzip(row("a")) + "garbage"));
              }).what(),
              HasSubstr("damaged"));
}

TEST(RowReader, RecognizesGzipDataUnderAnotherName) {
  const Folder folder;
  const auto path = folder.write("p.jsonl", test::gzip(row("a")));
  EXPECT_THAT(error_of([&] { (void)read_pairs(path); }).what(), HasSubstr("gzip data"));
}

TEST(RowReader, HashesTheBytesOfTheFile) {
  const Folder folder;
  // from sha256sum
  PairReader reader(folder.write("p.jsonl", row("a")));
  PreferencePair pair;
  ASSERT_TRUE(reader.next(pair));
  EXPECT_THROW((void)reader.sha256(), InvalidArgument);
  ASSERT_FALSE(reader.next(pair));
  EXPECT_EQ(reader.sha256(), "984b11444dd01483407e3dad30ca630c7fd31c3284ad49256cef2974ee9c21eb");
  EXPECT_EQ(reader.bytes_read(), 52);
  EXPECT_EQ(reader.rows(), 1);
}

TEST(RowReader, ListsTheFirstSkippedRowsAndCountsAll) {
  const Folder folder;
  std::string text = row("a");
  for (int i = 0; i < 1500; ++i) text += "{}\n";
  PairReader reader(folder.write("p.jsonl", text), {.lenient = true});
  PreferencePair pair;
  while (reader.next(pair)) {
  }
  EXPECT_EQ(reader.n_skipped(), 1500);
  EXPECT_EQ(reader.skipped().size(), RowReader::max_listed);
}

}  // namespace
}  // namespace sp2dpo::io
