// SPDX-License-Identifier: Apache-2.0
#include "csv_rows.hpp"

#include <string>
#include <string_view>
#include <vector>

#include "files.hpp"
#include <gmock/gmock.h>

namespace sp2dpo::io {
namespace {

using test::error_of;
using test::Folder;
using testing::ElementsAre;
using testing::HasSubstr;
using Cells = std::vector<std::string>;

std::vector<Cells> read(std::string_view text) {
  const Folder folder;
  CsvRows rows(folder.write("v.csv", text));
  std::vector<Cells> all;
  while (rows.next()) all.push_back({rows.cell(0), rows.cell(1)});
  return all;
}

TEST(CsvRows, ReadsPlainAndQuotedCells) {
  EXPECT_THAT(
      read("a,b\n1,2\n\"x, y\",\"say \"\"no\"\"\"\n,\n\"\",\" \"\n"),
      ElementsAre(Cells{"1", "2"}, Cells{"x, y", "say \"no\""}, Cells{"", ""}, Cells{"", " "}));
}

TEST(CsvRows, ReadsLineEndsOfEitherKindAndInsideQuotes) {
  EXPECT_THAT(read("a,b\r\n1,2\r\n\r\n\"3\n\n4\",5"),
              ElementsAre(Cells{"1", "2"}, Cells{"3\n\n4", "5"}));
}

TEST(CsvRows, SkipsAByteOrderMark) {
  EXPECT_THAT(read("\xEF\xBB\xBF\"a\",b\n1,2\n"), ElementsAre(Cells{"1", "2"}));
}

TEST(CsvRows, FindsColumnsByName) {
  const Folder folder;
  CsvRows rows(folder.write("v.csv", "a,\"b c\"\n1,2\n"));
  EXPECT_EQ(rows.column("b c"), 1u);
  const auto error = error_of([&] { (void)rows.column("d"); });
  EXPECT_EQ(error.field, "d");
  EXPECT_THAT(error.what(), HasSubstr("the file has: a, b c"));
}

TEST(CsvRows, NamesTheInvalidLine) {
  struct Case {
    std::string_view text;
    std::int64_t line;
    std::string_view message;
  };
  for (const auto& [text, line, message] :
       {Case{"", 0, "empty file"}, Case{"a,a\n", 1, "duplicate column"},
        Case{"a,b\n1,2\n1\n", 3, "expected 2 cells as in the header, got 1"},
        Case{"a,b\n1,2,3\n", 2, "expected 2 cells as in the header, got 3"},
        Case{"a,b\n\"1,2\n\n", 2, "unclosed quote"},
        Case{"a,b\n\"1\"x,2\n", 2, "after a closing quote"},
        Case{"a,b\n1\"x,2\n", 2, "quote inside"}, Case{"a,b\n\xFF,2\n", 2, "invalid UTF-8"},
        Case{"a,b\n\"1\n2\",3\n4\n", 4, "got 1"}}) {
    const auto error = error_of([&] { (void)read(text); });
    EXPECT_EQ(error.line, line) << text;
    EXPECT_THAT(error.what(), HasSubstr(message)) << text;
  }
}

}  // namespace
}  // namespace sp2dpo::io
