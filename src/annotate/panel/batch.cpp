// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "batch_lines.hpp"
#include "pending.hpp"
#include "text/json_writer.hpp"
#include "text/lines.hpp"
#include "wire/error_body.hpp"
#include "wire/reply_verdict.hpp"
#include <fmt/format.h>
#include <simdjson.h>

#include <sp2dpo/annotate/batch.hpp>
#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/io/output_file.hpp>

namespace sp2dpo::annotate {

namespace {

constexpr std::size_t max_notes = 100;

/// Writes the files of one judge and starts a new one when a limit is reached.
class BatchWriter {
 public:
  BatchWriter(std::string judge, std::string prefix, const BatchLimits& limits)
      : judge_(std::move(judge)), prefix_(std::move(prefix)), limits_(limits) {}

  void write(std::string_view line) {
    const auto size = std::ssize(line);
    detail::require(size <= limits_.bytes,
                    "a request of {} bytes exceeds the file limit of {} bytes", size,
                    limits_.bytes);
    if (file_ && (files_.back().lines == limits_.lines || bytes_ + size > limits_.bytes)) finish();
    if (!file_) {
      const auto path = fmt::format("{}.{:04}.jsonl", prefix_, files_.size() + 1);
      file_ = std::make_unique<io::OutputFile>(path);
      files_.push_back({path, judge_, 0});
      bytes_ = 0;
    }
    file_->write(line);
    bytes_ += size;
    ++files_.back().lines;
  }
  void finish() {
    if (file_) file_->commit();
    file_.reset();
  }
  [[nodiscard]] const std::vector<BatchFile>& files() const noexcept { return files_; }

 private:
  std::string judge_;
  std::string prefix_;  // with the judge's name
  BatchLimits limits_;
  std::vector<BatchFile> files_;
  std::unique_ptr<io::OutputFile> file_;
  std::int64_t bytes_ = 0;
};

/// The readable fields of one line of results.
struct ResultLine {
  std::string custom_id{};
  std::int64_t status = 0;
  std::string request_id{};
  std::string body{};   // unchanged; empty if absent
  std::string error{};  // JSON; empty if absent
};

// The body is not parsed here, so that one with invalid UTF-8 or half of a surrogate pair still
// reaches read_reply(), which reports it by name.
void read_response(simdjson::ondemand::object response, ResultLine& line) {
  for (auto field : response) {
    const std::string_view key = field.unescaped_key();
    auto value = field.value().value();
    const auto type = value.type().value();
    using Type = simdjson::ondemand::json_type;
    if (key == "status_code" && type == Type::number) {
      line.status = value.get_int64();
    } else if (key == "request_id" && type == Type::string) {
      line.request_id = std::string_view(value.get_string());
    } else if (key == "body" && type == Type::object) {
      line.body = std::string_view(value.get_object().value().raw_json());
    }
  }
}

ResultLine parse(std::string_view text, simdjson::ondemand::parser& parser) {
  ResultLine line;
  auto document = parser.iterate(text.data(), text.size(), text.size() + text::padding);
  for (auto field : document.get_object()) {
    const std::string_view key = field.unescaped_key();
    auto value = field.value().value();
    const auto type = value.type().value();
    using Type = simdjson::ondemand::json_type;
    if (key == "custom_id" && type == Type::string) {
      line.custom_id = std::string_view(value.get_string());
    } else if (key == "response" && type == Type::object) {
      read_response(value.get_object(), line);
    } else if (key == "error" && type == Type::object) {
      line.error = std::string_view(value.get_object().value().raw_json());
    } else if (key == "error" && type == Type::string) {
      line.error = std::string_view(value.get_string());
    }
  }
  const char* rest = nullptr;
  if (document.current_location().get(rest) == simdjson::SUCCESS)
    throw simdjson::simdjson_error(simdjson::TRAILING_CONTENT);
  return line;
}

class BatchReader {
 public:
  explicit BatchReader(Store& store) : store_(store) {}

  void take(std::string_view text, std::int64_t number) {
    ResultLine line;
    try {
      line = parse(text, parser_);
    } catch (const simdjson::simdjson_error& error) {
      ++results_.unreadable;
      note(number, fmt::format("cannot be read: {}", error.what()));
      return;
    }
    const auto id = parse_custom_id(line.custom_id);
    const auto request = id ? store_.request(id->first) : std::nullopt;
    if (!request) {
      ++results_.unknown;
      note(number, fmt::format("the store has no request \"{}\"", line.custom_id.substr(0, 80)));
      return;
    }
    const auto& [key, ask] = *id;
    const auto now = static_cast<std::int64_t>(std::time(nullptr));
    const auto verdict =
        classify({.status = static_cast<int>(line.status), .body = line.body}, {}, replies_);
    if (line.body.empty() || verdict.kind != ChatReply::Kind::answered) {
      ++results_.failed;
      const auto detail = !line.error.empty()  ? line.error
                          : !line.body.empty() ? verdict.detail
                                               : fmt::format("status {}, no body", line.status);
      note(number, detail);
      store_.add(StoredFailure{.key = key,
                               .kind = StoredFailure::Kind::batch,
                               .http_status = static_cast<int>(line.status),
                               .detail = detail,
                               .created = now});
      return;
    }
    const auto stored = store_.replies(key);
    const bool differs =
        std::ranges::any_of(stored, [&](const StoredReply& other) { return other.ask == ask; });
    const bool is_new = store_.add(StoredReply{.key = key,
                                               .ask = ask,
                                               .http_status = static_cast<int>(line.status),
                                               .request_id = line.request_id,
                                               .body = line.body,
                                               .usage = verdict.usage,
                                               .created = now,
                                               .seed = sent_seed(request->body, ask)});
    if (!is_new) {
      ++results_.known;
    } else if (!differs) {
      ++results_.replies;
    } else {
      ++results_.different;
      note(number, fmt::format("the store has another reply to request {}; both are kept", key));
    }
  }
  [[nodiscard]] BatchResults& results() noexcept { return results_; }

 private:
  void note(std::int64_t line, const std::string& text) {
    if (results_.notes.size() < max_notes)
      results_.notes.push_back(fmt::format("{}: {}", line, text));
  }

  Store& store_;
  simdjson::ondemand::parser parser_;
  simdjson::dom::parser replies_;
  BatchResults results_;
};

/// Writes the batch line of a request.
void make_line(std::string& line, const ChatRequest& request, int ask) {
  line.clear();
  text::JsonWriter json(line);
  json.open('{');
  json.key("custom_id").text(ask == 0 ? request.key : fmt::format("{}.{}", request.key, ask));
  json.key("method").text("POST");
  json.key("url").text("/v1/chat/completions");
  ChatRequest sent = request;
  sent.ask = ask;
  json.key("body").raw(ask == 0 ? request.body : sent_body(sent));  // with another seed
  json.close('}');
  line += '\n';
}

/// Returns a file name for each judge that no other judge has, also where letter case counts for
/// nothing: "a/b" and "a_b" become "a_b" and "a_b-2".
std::map<std::string, std::string, std::less<>> file_names(std::span<const PanelMember> members) {
  std::map<std::string, std::string, std::less<>> names;
  std::set<std::string> taken;
  const auto lower = [](std::string name) {
    for (char& c : name)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return name;
  };
  // Names that need no change are given first, so that they stay as they are.
  for (const bool changed : {false, true})
    for (const auto& member : members) {
      const auto& judge = member.judge->name;
      const auto plain = batch_file_name(judge);
      if ((plain != judge) != changed || names.contains(judge)) continue;
      auto name = plain;
      for (int number = 2; !taken.insert(lower(name)).second; ++number)
        name = fmt::format("{}-{}", plain, number);
      names[judge] = name;
    }
  return names;
}

}  // namespace

std::string batch_file_name(std::string_view name) {
  std::string plain(name);
  for (char& c : plain) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (!is_plain) c = '_';
  }
  return plain;
}

std::optional<std::pair<std::string, int>> parse_custom_id(std::string_view id) {
  constexpr std::size_t digits = 64;
  int ask = 0;
  if (id.size() > digits) {
    const char* const end = id.data() + id.size();
    const auto number = std::from_chars(id.data() + digits + 1, end, ask);
    if (id[digits] != '.' || number.ec != std::errc() || number.ptr != end || ask < 1) return {};
  }
  return std::pair{std::string(id.substr(0, digits)), ask};
}

BatchResults& BatchResults::operator+=(const BatchResults& other) {
  replies += other.replies;
  known += other.known;
  different += other.different;
  failed += other.failed;
  unknown += other.unknown;
  unreadable += other.unreadable;
  foreign.insert(foreign.end(), other.foreign.begin(), other.foreign.end());
  for (const auto& text : other.notes)
    if (notes.size() < max_notes) notes.push_back(text);
  return *this;
}

std::vector<BatchFile> write_batch(std::span<const PreferencePair> pairs,
                                   std::span<const PanelMember> members, Store& store,
                                   const std::filesystem::path& prefix, const BatchLimits& limits) {
  check_members(members);
  detail::require(limits.lines > 0 && limits.bytes > 0, "a batch file needs room for a line");
  const auto names = file_names(members);
  std::vector<std::unique_ptr<BatchWriter>> writers;
  std::map<std::string, BatchWriter*, std::less<>> by_judge;
  for (const auto& member : members) {
    auto& writer = by_judge[member.judge->name];
    if (writer == nullptr)
      writer = writers
                   .emplace_back(std::make_unique<BatchWriter>(
                       member.judge->name,
                       fmt::format("{}.{}", prefix.string(), names.at(member.judge->name)), limits))
                   .get();
  }
  KeySet seen;
  std::string line;
  for (const auto& pair : pairs) {
    for (const auto& member : members) {
      const Question question = member.about(pair.id);
      const ChatRequest request = make_request(question, pair);
      record_question(store, pair.id, member, question, request);
      if (!seen.insert(request.key)) continue;
      const int ask = next_ask(question, pair, store, request.key);
      if (ask < 0) continue;
      make_line(line, request, ask);
      by_judge.find(member.judge->name)->second->write(line);
    }
  }
  store.commit();
  std::vector<BatchFile> files;
  for (const auto& writer : writers) {
    writer->finish();
    files.insert(files.end(), writer->files().begin(), writer->files().end());
  }
  return files;
}

BatchResults read_batch(const std::filesystem::path& path, Store& store) {
  text::Lines lines(path);
  BatchReader reader(store);
  constexpr std::int64_t lines_a_commit = 5000;
  std::string begins;  // the first line that is not empty
  for (std::string_view line; lines.next(line);) {
    if (lines.line() == 1 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (begins.empty()) begins = one_line(line.substr(0, 60));
    reader.take(line, lines.line());
    if (lines.line() % lines_a_commit == 0) store.commit();
  }
  store.commit();
  if (reader.results().matched() == 0 && !begins.empty())
    reader.results().foreign.push_back(
        fmt::format("{}: no line is a result of a request in this store; {}", path.string(),
                    reader.results().unknown > 0
                        ? "the results belong to another store or judge"
                        : fmt::format("the file is of another kind, it begins with: {}", begins)));
  for (auto& note : reader.results().notes) note.insert(0, path.string() + ":");
  return std::move(reader.results());
}

}  // namespace sp2dpo::annotate
