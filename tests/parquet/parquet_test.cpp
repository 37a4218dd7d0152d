// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "files.hpp"
#include "tables.hpp"
#include "text/sha256.hpp"
#include <arrow/array/builder_dict.h>
#include <arrow/util/key_value_metadata.h>
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <openssl/evp.h>
#include <simdjson.h>

#include <sp2dpo/io/annotations.hpp>
#include <sp2dpo/io/describe.hpp>
#include <sp2dpo/parquet/join.hpp>
#include <sp2dpo/parquet/rows.hpp>
#include <sp2dpo/parquet/schedule.hpp>

namespace sp2dpo::io {
namespace {

using test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;

std::shared_ptr<arrow::DataType> messages() {
  return arrow::list(arrow::struct_(
      {arrow::field("role", arrow::utf8()), arrow::field("content", arrow::utf8())}));
}

std::shared_ptr<arrow::Schema> texts() {
  return arrow::schema({arrow::field("id", arrow::utf8()), arrow::field("prompt", arrow::utf8()),
                        arrow::field("chosen", arrow::utf8()),
                        arrow::field("rejected", arrow::utf8())});
}

std::shared_ptr<arrow::Schema> annotations() {
  return arrow::schema(
      {arrow::field("pair_id", arrow::utf8()), arrow::field("annotator", arrow::utf8()),
       arrow::field("prompt", arrow::utf8()), arrow::field("category", arrow::utf8()),
       arrow::field("magnitude", arrow::float64()), arrow::field("confidence", arrow::float64()),
       arrow::field("order", arrow::utf8()), arrow::field("sample", arrow::int64())});
}

std::vector<std::string> rows_of(const std::filesystem::path& path) {
  const auto source = parquet_rows(path);
  std::vector<std::string> rows;
  for (std::string_view row; source->next(row);) rows.emplace_back(row);
  return rows;
}

std::string digest(const std::filesystem::path& path) {
  text::Sha256 hash;
  hash.update(test::slurp(path));
  return text::hex(hash.finish());
}

/// Returns the file that a function is linked from.
template <class F>
std::string home_of(F* function) {
  Dl_info info{};
  EXPECT_NE(dladdr(reinterpret_cast<void*>(function), &info), 0);
  return info.dli_fname;
}

// The libparquet of a wheel exports its own simdjson and OpenSSL, which would win if it were linked
// before the real ones.
TEST(Linking, UsesTheLibrariesOfIoInsteadOfArrowsCopies) {
  EXPECT_THAT(home_of(&simdjson::get_active_implementation), HasSubstr("simdjson"));
  EXPECT_THAT(home_of(&EVP_sha256), HasSubstr("crypto"));
}

TEST(ParquetRows, ConvertEveryTypeToJsonWithoutNulls) {
  const test::Folder folder;
  const auto schema = arrow::schema(
      {arrow::field("b", arrow::boolean()), arrow::field("i", arrow::int8()),
       arrow::field("u", arrow::uint64()), arrow::field("f", arrow::float32()),
       arrow::field("d", arrow::float64()), arrow::field("s", arrow::utf8()),
       arrow::field("large", arrow::large_utf8()), arrow::field("raw", arrow::binary()),
       arrow::field("list", arrow::list(arrow::int32())),
       arrow::field("object", arrow::struct_({arrow::field("x", arrow::int64()),
                                              arrow::field("y", arrow::utf8())})),
       arrow::field("time", arrow::timestamp(arrow::TimeUnit::MILLI))});
  auto table = test::table(
      schema,
      R"({"b":true,"i":-7,"u":18446744073709551615,"f":0.1,"d":0.1,"s":"a\"é","large":"l",)"
      R"("raw":"hi","list":[1,null],"object":{"x":2,"y":null},"time":"2026-01-02 03:04:05"})"
      "\n"
      R"({"b":null,"i":null,"u":null,"f":null,"d":2.0,"s":"","large":null,"raw":null,"list":[],)"
      R"("object":null,"time":null})"
      "\n");
  arrow::StringDictionaryBuilder coded;
  test::require(coded.Append("c"));
  test::require(coded.AppendNull());
  const auto column = std::make_shared<arrow::ChunkedArray>(*coded.Finish());
  table = *table->AddColumn(table->num_columns(), arrow::field("coded", column->type()), column);
  EXPECT_THAT(
      rows_of(test::write_parquet(folder / "t.parquet", *table)),
      ElementsAre(
          R"({"b":true,"i":-7,"u":18446744073709551615,"f":0.10000000149011612,"d":0.1,)"
          R"("s":"a\"é","large":"l","raw":"aGk=","list":[1,null],"object":{"x":2,"y":null},)"
          R"("time":"2026-01-02 03:04:05.000","coded":"c"})",
          R"({"d":2.0,"s":"","list":[]})"));
}

TEST(ParquetRows, VisitAllBatchesAndRowGroupsInOrder) {
  const test::Folder folder;
  std::string rows;
  for (int i = 0; i < 3000; ++i)
    rows += fmt::format(R"({{"id":"{0}","prompt":"p","chosen":"c{0}","rejected":"r"}})"
                        "\n",
                        i);
  const auto path = test::write_parquet(folder / "p.parquet", *test::table(texts(), rows), 700);
  const auto pairs = read_pairs(parquet_rows(path));
  ASSERT_EQ(pairs.size(), 3000u);
  for (int i = 0; i < 3000; ++i) {
    EXPECT_EQ(pairs[i].id, std::to_string(i));
    EXPECT_EQ(std::get<std::string>(pairs[i].chosen), "c" + std::to_string(i));
  }
}

TEST(ParquetRows, ReportTheHashOfTheFile) {
  const test::Folder folder;
  const auto path = test::write_parquet(
      folder / "p.parquet",
      *test::table(texts(), R"({"id":"a","prompt":"p","chosen":"c","rejected":"r"})"));
  PairReader reader(parquet_rows(path));
  PreferencePair pair;
  while (reader.next(pair)) EXPECT_EQ(reader.line(), 1);
  EXPECT_EQ(reader.sha256(), digest(path));
  EXPECT_EQ(reader.bytes_read(), static_cast<std::int64_t>(std::filesystem::file_size(path)));
}

TEST(ParquetRows, GiveTheSamePairsAsJsonLines) {
  const test::Folder folder;
  const std::string rows =
      R"({"chosen":[{"role":"user","content":"Hi"},{"role":"assistant","content":"A"}],)"
      R"("rejected":[{"role":"user","content":"Hi"},{"role":"assistant","content":"B"}],"score":9})"
      "\n"
      R"({"chosen":[{"role":"user","content":"Yo"},{"role":"assistant","content":"é"}],)"
      R"("rejected":[{"role":"user","content":"Yo"},{"role":"assistant","content":""}],"score":8})"
      "\n";
  const auto schema =
      arrow::schema({arrow::field("chosen", messages()), arrow::field("rejected", messages()),
                     arrow::field("score", arrow::int64())});
  const auto lines = read_pairs(folder.write("p.jsonl", rows));
  const auto pairs = read_pairs(
      parquet_rows(test::write_parquet(folder / "p.parquet", *test::table(schema, rows))));
  ASSERT_EQ(pairs.size(), lines.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    EXPECT_EQ(pairs[i].id, lines[i].id);
    EXPECT_EQ(pairs[i].prompt, lines[i].prompt);
    EXPECT_EQ(pairs[i].chosen, lines[i].chosen);
    EXPECT_EQ(pairs[i].rejected, lines[i].rejected);
    EXPECT_EQ(pairs[i].columns, lines[i].columns);
  }
}

TEST(ParquetRows, ReadNullsAsMissingFieldsOfAnnotations) {
  const test::Folder folder;
  const auto path = test::write_parquet(
      folder / "a.parquet",
      *test::table(annotations(),
                   R"({"pair_id":"1","annotator":"a","prompt":"q","category":"style",)"
                   R"("magnitude":0.1,"confidence":1.0,"order":"rejected_first","sample":2})"
                   "\n"
                   R"({"pair_id":"1","annotator":"a","prompt":"q","category":"safety",)"
                   R"("magnitude":0.3,"confidence":0.5,"order":null,"sample":null})"));
  const auto read = read_annotations(parquet_rows(path));
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].order, Order::rejected_first);
  EXPECT_EQ(read[0].sample, 2);
  EXPECT_EQ(read[0].magnitude, 0.1);
  EXPECT_EQ(read[1].order, std::nullopt);
  EXPECT_EQ(read[1].sample, 0);
}

TEST(ParquetRows, NameFileRowAndColumnInErrors) {
  const test::Folder folder;
  const auto path = folder / "p.parquet";
  const auto refused = [&](const std::shared_ptr<arrow::Schema>& schema, std::string_view rows) {
    test::write_parquet(path, *test::table(schema, rows));
    auto error = error_of([&] { (void)read_pairs(parquet_rows(path)); });
    EXPECT_EQ(error.file, path.string());
    return error;
  };
  const std::string good = R"({"id":"a","prompt":"p","chosen":"c","rejected":"r"})"
                           "\n";

  const auto null = refused(texts(), good + R"({"id":"b","prompt":"p","chosen":null,)"
                                            R"("rejected":"r"})");
  EXPECT_EQ(null.line, 2);
  EXPECT_EQ(null.field, "chosen");
  EXPECT_THAT(null.what(), HasSubstr("is missing"));

  const auto missing = refused(
      arrow::schema({arrow::field("prompt", arrow::utf8()), arrow::field("chosen", arrow::utf8())}),
      R"({"prompt":"p","chosen":"c"})");
  EXPECT_EQ(missing.line, 1);
  EXPECT_EQ(missing.field, "rejected");

  const auto type = refused(
      arrow::schema({arrow::field("prompt", arrow::utf8()), arrow::field("chosen", arrow::int64()),
                     arrow::field("rejected", arrow::utf8())}),
      R"({"prompt":"p","chosen":3,"rejected":"r"})");
  EXPECT_EQ(type.field, "chosen");
  EXPECT_THAT(type.what(), HasSubstr("expected a string or a list of messages, not 3"));

  const auto twice = refused(texts(), good + good);
  EXPECT_EQ(twice.line, 2);
  EXPECT_THAT(twice.what(), HasSubstr(", first in line 1"));
}

TEST(ParquetRows, RejectNumbersThatJsonLacks) {
  const test::Folder folder;
  arrow::DoubleBuilder score;
  test::require(score.AppendValues({1.0, std::numeric_limits<double>::quiet_NaN()}));
  auto table = test::table(texts(), R"({"id":"a","prompt":"p","chosen":"c","rejected":"r"})"
                                    "\n"
                                    R"({"id":"b","prompt":"p","chosen":"c","rejected":"r"})");
  const auto column = std::make_shared<arrow::ChunkedArray>(*score.Finish());
  table = *table->AddColumn(4, arrow::field("score", arrow::float64()), column);
  const auto path = test::write_parquet(folder / "p.parquet", *table);
  const auto error = error_of([&] { (void)read_pairs(parquet_rows(path)); });
  EXPECT_EQ(error.line, 2);
  EXPECT_EQ(error.field, "score");
}

TEST(ParquetRows, RejectTruncatedAndForeignFiles) {
  const test::Folder folder;
  std::string rows;
  for (int i = 0; i < 1000; ++i)
    rows += fmt::format(R"({{"id":"{0}","prompt":"p {0}","chosen":"c","rejected":"r"}})"
                        "\n",
                        i);
  const auto path = test::write_parquet(folder / "p.parquet", *test::table(texts(), rows));
  const std::string bytes = test::slurp(path);
  const auto trouble = [&](std::string_view content) {
    return error_of([&] { (void)read_pairs(parquet_rows(folder.write("bad.parquet", content))); });
  };
  EXPECT_THAT(trouble(R"({"id":"a"})").what(), HasSubstr("not a Parquet file"));
  EXPECT_THAT(trouble("").what(), HasSubstr("not a Parquet file"));
  EXPECT_THAT(trouble(bytes.substr(0, bytes.size() - 1)).what(), HasSubstr("not a Parquet file"));
  EXPECT_THAT(trouble(bytes.substr(0, bytes.size() / 2)).what(), HasSubstr("not a Parquet file"));
  for (std::size_t at = 4; at < 200;
       at += 5) {  // damage in the first pages is detected or harmless
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(~damaged[at]);
    try {
      (void)read_pairs(parquet_rows(folder.write("bad.parquet", damaged)));
    } catch (const DataError& error) {
      EXPECT_EQ(error.file, (folder / "bad.parquet").string());
    }
  }
  EXPECT_THAT(error_of([&] { (void)parquet_rows(folder / "nowhere.parquet"); }).what(),
              HasSubstr("cannot be opened"));
  EXPECT_THAT(error_of([&] { (void)read_pairs(path); }).what(), HasSubstr("is a Parquet file"));
}

Schedule two(bool weights = false) {
  std::vector<ScheduleEntry> entries{{.id = "a",
                                      .beta = 0.1 + 0.2,
                                      .gap = SemanticGap{.value = -0.25,
                                                         .category = Category{5},
                                                         .n_annotators = 3,
                                                         .n_annotations = 9,
                                                         .spread = 1.0 / 3},
                                      .clipped = Clip::low},
                                     {.id = "9", .beta = 0.2}};
  if (weights)
    for (auto& entry : entries) entry.weight = 1.5;
  return Schedule(std::move(entries));
}

TEST(ParquetSchedule, RoundTrips) {
  const test::Folder folder;
  const ScheduleManifest manifest{.inputs = {{"pairs", "p.parquet", "ab", 2}},
                                  .aggregator = describe(Jmamp{}),
                                  .mapper = describe(Linear{}),
                                  .missing = describe(Missing{}),
                                  .counts = {.pairs = 2, .annotations = 9, .missing = 1},
                                  .program = "mine"};
  for (const bool weights : {false, true}) {
    const Schedule schedule = two(weights);
    write_parquet_schedule(folder / "s.parquet", schedule, manifest);
    const auto back = read_schedule(parquet_rows(folder / "s.parquet"));
    EXPECT_EQ(back.manifest, manifest);
    EXPECT_EQ(back.sha256, digest(folder / "s.parquet"));
    write_schedule(folder / "written.jsonl", schedule, manifest);
    write_schedule(folder / "read.jsonl", back.schedule, manifest);
    EXPECT_EQ(test::slurp(folder / "read.jsonl"), test::slurp(folder / "written.jsonl"));
  }
  write_parquet_schedule(folder / "again.parquet", two(true), manifest);
  EXPECT_EQ(test::slurp(folder / "again.parquet"), test::slurp(folder / "s.parquet"));
}

TEST(ParquetSchedule, HasTheColumnsOfJsonLinesAndTheManifest) {
  const test::Folder folder;
  write_parquet_schedule(folder / "s.parquet", two(), {});
  const auto table = test::read_parquet(folder / "s.parquet");
  EXPECT_EQ(table->schema()->ToString(false),
            "beta: double not null\ncategory: string\nflags: list<element: string>\ngap: "
            "double\nid: string not null\n"
            "n_annotations: int64 not null\nn_annotators: int64 not null\nspread: double");
  EXPECT_THAT(table->schema()->metadata()->Get("sp2dpo.manifest").ValueOr(""),
              HasSubstr(R"("format":"sp2dpo.schedule")"));

  write_parquet_schedule(folder / "rows.parquet", two(), {}, folder / "m.json");
  EXPECT_FALSE(read_schedule(parquet_rows(folder / "rows.parquet")).manifest);
  EXPECT_THAT(test::slurp(folder / "m.json"), HasSubstr(R"("format":"sp2dpo.schedule")"));
}

TEST(ParquetSchedule, IsWrittenAtomically) {
  const test::Folder folder;
  EXPECT_THROW(write_parquet_schedule(folder / "no/s.parquet", two(), {}), DataError);
  EXPECT_THROW(write_parquet_schedule("/dev/full", two(), {}), DataError);
  EXPECT_THROW(write_schedule(folder / "s.parquet", two(), {}), InvalidArgument);
  EXPECT_TRUE(folder.names().empty());
}

TEST(JoinParquetSchedule, KeepsColumnsAndTypesAndDropsPairsWithoutBeta) {
  const test::Folder folder;
  const auto schema =
      arrow::schema({arrow::field("id", arrow::large_utf8()), arrow::field("prompt", messages()),
                     arrow::field("chosen", messages()), arrow::field("rejected", messages()),
                     arrow::field("when", arrow::timestamp(arrow::TimeUnit::MICRO)),
                     arrow::field("score", arrow::float32())},
                    arrow::key_value_metadata({"huggingface"}, {"{}"}));
  std::string rows;
  for (const char* id : {"other", "a", "9", "left out"})
    rows += fmt::format(
        R"({{"id":"{}","prompt":[{{"role":"user","content":"Hi"}}],)"
        R"("chosen":[{{"role":"assistant","content":"A"}}],)"
        R"("rejected":[{{"role":"assistant","content":"B"}}],"when":"2026-01-02 03:04:05",)"
        R"("score":0.1}})"
        "\n",
        id);
  const auto table =
      test::table(schema, rows)
          ->ReplaceSchemaMetadata(arrow::key_value_metadata({"huggingface"}, {"{}"}));
  const auto pairs = test::write_parquet(folder / "p.parquet", *table);
  JoinOptions options;
  options.schedule_name = "s";
  EXPECT_EQ(join_parquet_schedule(pairs, two(), folder / "o.parquet", options).written, 2);

  const auto joined = test::read_parquet(folder / "o.parquet");
  ASSERT_EQ(joined->num_columns(), 8);
  for (int k = 0; k < 6; ++k) {
    EXPECT_TRUE(joined->field(k)->Equals(table->field(k))) << joined->field(k)->ToString();
    EXPECT_TRUE(joined->column(k)->Equals(*table->column(k)->Slice(1, 2)));
  }
  EXPECT_EQ(joined->schema()->metadata()->Get("huggingface").ValueOr(""), "{}");
  EXPECT_EQ(joined->field(7)->ToString(),
            "sp2dpo: struct<category: string, gap: double, schedule: string>");
  EXPECT_THAT(rows_of(folder / "o.parquet").at(0),
              HasSubstr(R"("beta":0.30000000000000004,)"
                        R"("sp2dpo":{"category":"style","gap":-0.25,"schedule":"s"}})"));
  EXPECT_THAT(rows_of(folder / "o.parquet").at(1),
              HasSubstr(R"("sp2dpo":{"category":null,"gap":null,"schedule":"s"}})"));

  const auto there = error_of(
      [&] { join_parquet_schedule(folder / "o.parquet", two(), folder / "again.parquet"); });
  EXPECT_EQ(there.field, "beta");
  options.schedule_name = "t";
  options.overwrite = true;
  EXPECT_EQ(join_parquet_schedule(folder / "o.parquet", two(true), folder / "w.parquet", options),
            (JoinCounts{2, 0}));
  EXPECT_THAT(rows_of(folder / "w.parquet").at(1),
              HasSubstr(R"("beta":0.2,"weight":1.5,"sp2dpo":{"category":null,"gap":null,)"
                        R"("schedule":"t"}})"));
}

TEST(JoinSchedule, ConvertsPairsInParquetToJsonLines) {
  const test::Folder folder;
  const auto pairs = test::write_parquet(
      folder / "p.parquet",
      *test::table(texts(), R"({"id":"9","prompt":"p","chosen":"c","rejected":"r"})"));
  EXPECT_EQ(join_schedule(parquet_rows(pairs), two(), folder / "o.jsonl").written, 1);
  EXPECT_EQ(test::slurp(folder / "o.jsonl"),
            R"({"id":"9","prompt":"p","chosen":"c","rejected":"r","beta":0.2,)"
            R"("sp2dpo":{"category":null,"gap":null,"schedule":""}})"
            "\n");
}

}  // namespace
}  // namespace sp2dpo::io
