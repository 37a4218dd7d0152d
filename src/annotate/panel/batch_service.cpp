// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "batch_lines.hpp"
#include "text/json_writer.hpp"
#include "text/lines.hpp"
#include "wire/error_body.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include <sp2dpo/annotate/batch.hpp>
#include <sp2dpo/error.hpp>

// A provider's batches over HTTP: files, submissions, states and results.
namespace sp2dpo::annotate {

namespace {

using StateKind = BatchStatus::Kind;
using simdjson::dom::element;

/// A submission whose acceptance is not confirmed has this state, and the id `unconfirmed:FILE`
/// with the provider's id of the uploaded file.
constexpr std::string_view unconfirmed = "unconfirmed";

std::string intent_id(std::string_view file_id) {
  return fmt::format("{}:{}", unconfirmed, file_id);
}

/// A batch's id in the store where another judge's batch has the same: `ID @JUDGE`.
constexpr std::string_view id_separator = " @";

std::string provider_id(const StoredBatch& batch) {
  return batch.id.substr(0, batch.id.find(id_separator));
}

/// The states that are known, in lower case with underscores.
struct KnownState {
  std::string_view state;
  StateKind kind;
};
constexpr std::array known_states = {
    KnownState{"validating", StateKind::running},  KnownState{"in_progress", StateKind::running},
    KnownState{"finalizing", StateKind::running},  KnownState{"cancelling", StateKind::running},
    KnownState{"canceling", StateKind::running},   KnownState{"queued", StateKind::running},
    KnownState{"pending", StateKind::running},     KnownState{"running", StateKind::running},
    KnownState{"processing", StateKind::running},  KnownState{"created", StateKind::running},
    KnownState{"completed", StateKind::completed}, KnownState{"complete", StateKind::completed},
    KnownState{"succeeded", StateKind::completed}, KnownState{"success", StateKind::completed},
    KnownState{"failed", StateKind::failed},       KnownState{"expired", StateKind::failed},
    KnownState{"cancelled", StateKind::failed},    KnownState{"canceled", StateKind::failed},
    KnownState{unconfirmed, StateKind::running}};

struct Call {
  Endpoint& endpoint;
  std::string what;  // for messages: the file or batch
  std::function<bool()> interrupted{};

  [[nodiscard]] ChatReply operator()(HttpCall made) const {
    made.interrupted = interrupted;
    auto reply = endpoint.call(made);
    if (reply.kind != ChatReply::Kind::answered)
      throw Error(fmt::format("{}: {}", what, reply.detail));
    return reply;
  }
  /// Parses a reply, which must be a JSON object.
  [[nodiscard]] element object_in(const ChatReply& reply, simdjson::dom::parser& parser) const {
    element root;
    if (parser.parse(reply.body).get(root) != simdjson::SUCCESS || !root.is_object())
      throw Error(fmt::format("{}: the provider's reply is not a JSON object; it begins with: {}",
                              what, one_line(std::string_view(reply.body).substr(0, 60))));
    return root;
  }
};

/// Returns a text field; empty if it is missing, null or of another type.
std::string text_in(element object, std::string_view field) {
  std::string_view text;
  return object[field].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

/// The lines of a batch file that still have no reply.
struct PendingLines {
  std::string sha256{};  // of the whole file
  std::int64_t lines = 0;
  std::vector<std::string> pending{};
};

/// Reads a file that write_batch() wrote for this judge. Throws DataError for any other file.
PendingLines read_lines(const std::filesystem::path& file, const std::string& judge,
                        const Store& store) {
  const auto known = store.keys_of(judge);
  const std::set<std::string, std::less<>> keys(known.begin(), known.end());
  PendingLines found;
  text::Lines lines(file);
  simdjson::dom::parser parser;
  for (std::string_view line; lines.next(line);) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto fail = [&](const std::string& message) {
      throw DataError(file.string(), lines.line(), "",
                      message +
                          "; nothing was sent. Submit files that batch write has written for "
                          "this judge, with the same store");
    };
    element root;
    std::string_view id;
    element body;
    if (parser.parse(line.data(), line.size()).get(root) != simdjson::SUCCESS ||
        root["custom_id"].get(id) != simdjson::SUCCESS ||
        root["body"].get(body) != simdjson::SUCCESS || !body.is_object())
      fail("is not a line of a batch file (custom_id, method, url, body)");
    const auto parsed = parse_custom_id(id);
    if (!parsed || !keys.contains(parsed->first))
      fail(fmt::format("the store has no question to judge {} with the request {}", judge,
                       one_line(id.substr(0, 80))));
    ++found.lines;
    const auto replies = store.replies(parsed->first);
    if (std::ranges::none_of(replies,
                             [&](const StoredReply& reply) { return reply.ask >= parsed->second; }))
      found.pending.emplace_back(line);
  }
  found.sha256 = lines.sha256();
  if (found.lines == 0) throw DataError(file.string(), 0, "", "holds no lines");
  return found;
}

/// A file with some of the lines of a batch file, under its name in a folder of its own.
class PartOfFile {
 public:
  PartOfFile(const std::filesystem::path& file, const std::vector<std::string>& lines) {
    auto folder = (std::filesystem::temp_directory_path() / "sp2dpo-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr)
      throw std::system_error(errno, std::generic_category(), folder);
    folder_ = folder;
    path_ = folder_ / file.filename();
    std::ofstream out(path_, std::ios::binary);
    for (const auto& line : lines) out << line << '\n';
    if (!out.flush()) throw DataError(path_.string(), 0, "", "cannot be written");
  }
  PartOfFile(const PartOfFile&) = delete;
  PartOfFile& operator=(const PartOfFile&) = delete;
  ~PartOfFile() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path folder_;
  std::filesystem::path path_;
};

/// Adds a batch that the provider has accepted, under an id that no other judge's batch has.
void add_batch(Store& store, StoredBatch batch) {
  for (const auto& other : store.batches())
    if (other.id == batch.id && other.judge != batch.judge)
      batch.id += std::string(id_separator) + batch.judge;
  store.add(batch);
  store.commit();
}

/// Looks for the batch of an uploaded file among the provider's.
std::optional<StoredBatch> find_batch(const Call& call, const StoredBatch& intent) {
  const auto file_id = intent.id.substr(unconfirmed.size() + 1);
  simdjson::dom::parser parser;
  std::string after;
  constexpr int max_pages = 100;
  for (int page = 0; page < max_pages; ++page) {
    const auto reply = call({.method = "GET", .path = "/batches?limit=100" + after});
    const auto root = call.object_in(reply, parser);
    simdjson::dom::array list;
    if (root["data"].get(list) != simdjson::SUCCESS)
      throw Error(fmt::format("{}: the provider lists no batches", call.what));
    std::string last;
    for (const element item : list) {
      last = text_in(item, "id");
      if (text_in(item, "input_file_id") == file_id && !last.empty())
        return StoredBatch{last, intent.judge, intent.file_sha256, text_in(item, "status")};
    }
    bool more = false;
    if (root["has_more"].get(more) != simdjson::SUCCESS || !more || last.empty()) break;
    after = "&after=" + last;
  }
  return std::nullopt;
}

/// Begins a batch of an uploaded file. The intent is stored first: if the reply is lost, the next
/// submission looks for the batch instead of beginning another.
StoredBatch begin_batch(const Call& call, const StoredBatch& intent, Store& store) {
  store.add(intent);
  store.commit();
  std::string body;
  text::JsonWriter json(body);
  json.open('{');
  json.key("completion_window").text("24h");
  json.key("endpoint").text("/v1/chat/completions");
  json.key("input_file_id").text(intent.id.substr(unconfirmed.size() + 1));
  json.close('}');
  const auto reply = call.endpoint.call({.method = "POST", .path = "/batches", .body = body});
  if (reply.kind != ChatReply::Kind::answered) {
    // A refusal begins nothing. After any other failure it may have begun.
    const bool refused = reply.http_status >= 400 && reply.http_status < 500;
    if (refused) store.remove_batch(intent.id);
    throw Error(fmt::format("{}: {}{}", call.what, reply.detail,
                            refused ? ""
                                    : "; whether the batch has begun is not known. Submit the file "
                                      "again: it looks for the batch first"));
  }
  simdjson::dom::parser parser;
  const auto root = call.object_in(reply, parser);
  const StoredBatch begun{text_in(root, "id"), intent.judge, intent.file_sha256,
                          text_in(root, "status")};
  if (begun.id.empty())
    throw Error(fmt::format("{}: the provider gave the batch no id", call.what));
  return begun;
}

/// Confirms an unconfirmed submission. Returns nothing if the provider has no batch of it.
std::optional<StoredBatch> settle(const Call& call, const StoredBatch& intent, Store& store) {
  auto found = find_batch(call, intent);
  store.remove_batch(intent.id);
  if (found) add_batch(store, *found);
  return found;
}

std::string counts_in(element root) {
  const auto counts = root["request_counts"];
  const auto count = [&](const char* name) {
    std::int64_t value = 0;
    return counts[name].get(value) == simdjson::SUCCESS ? value : -1;
  };
  const auto total = count("total"), completed = count("completed"), failed = count("failed");
  if (total < 0 || completed < 0 || failed < 0) return {};
  return fmt::format("{} of {} requests completed, {} failed", completed, total, failed);
}

/// The provider's reasons and counts, in one line each.
std::vector<std::string> details_in(element root) {
  std::vector<std::string> details;
  if (auto counts = counts_in(root); !counts.empty()) details.push_back(std::move(counts));
  constexpr std::size_t max_reasons = 5;
  simdjson::dom::array errors;
  if (root["errors"]["data"].get(errors) == simdjson::SUCCESS ||
      root["errors"].get(errors) == simdjson::SUCCESS) {
    for (const element error : errors) {
      if (details.size() > max_reasons) break;
      const auto code = text_in(error, "code");
      auto text = text_in(error, "message");
      if (text.empty()) text = simdjson::minify(error);
      std::int64_t line = 0;
      details.push_back(
          one_line((error["line"].get(line) == simdjson::SUCCESS ? fmt::format("line {}: ", line)
                                                                 : std::string()) +
                   (code.empty() ? text : fmt::format("{}: {}", code, text))));
    }
  } else if (const auto error = read_error(root)) {
    details.push_back(error->message);
  }
  return details;
}

/// Downloads the results of a batch and reads them into the store.
BatchResults collect_files(const Call& call, element root, const StoredBatch& batch, Store& store,
                           const std::filesystem::path& folder) {
  BatchResults results;
  for (const auto& [field, end] :
       {std::pair{"output_file_id", "output"}, {"error_file_id", "errors"}}) {
    const auto id = text_in(root, field);
    if (id.empty()) continue;
    const auto path = folder / fmt::format("{}.{}.jsonl", batch_file_name(batch.id), end);
    (void)call({.method = "GET", .path = "/files/" + id + "/content", .save_to = path});
    results += read_batch(path, store);
  }
  return results;
}

}  // namespace

BatchStatus::Kind kind_of_state(std::string_view state) {
  std::string plain(state);
  for (char& c : plain) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '-' || c == ' ') c = '_';
  }
  const auto* const found = std::ranges::find(known_states, plain, &KnownState::state);
  return found == known_states.end() ? StateKind::unknown : found->kind;
}

bool is_final(std::string_view state) {
  const auto kind = kind_of_state(state);
  return kind == StateKind::completed || kind == StateKind::failed;
}

BatchSubmission submit_batch(const std::filesystem::path& file, const std::string& judge,
                             Endpoint& endpoint, Store& store, bool resend) {
  const Call call{endpoint, file.string()};
  const auto lines = read_lines(file, judge, store);
  for (const auto& batch : store.batches()) {
    if (batch.file_sha256 != lines.sha256 || batch.judge != judge || is_final(batch.state))
      continue;
    if (batch.state != unconfirmed)
      return {.note = fmt::format("its batch {} has the state {}", batch.id, batch.state)};
    if (resend) {
      store.remove_batch(batch.id);
    } else if (const auto found = settle(call, batch, store)) {
      return {.note = fmt::format("an earlier submission has begun the batch {}", found->id)};
    }
  }
  if (lines.pending.empty()) return {.note = "the store has a reply to every line"};

  std::optional<PartOfFile> part;
  if (std::ssize(lines.pending) < lines.lines) part.emplace(file, lines.pending);
  const auto uploaded = call({.method = "POST",
                              .path = "/files",
                              .file = part ? part->path() : file,
                              .fields = {{"purpose", "batch"}}});
  simdjson::dom::parser parser;
  const auto file_id = text_in(call.object_in(uploaded, parser), "id");
  if (file_id.empty()) throw Error(fmt::format("{}: the provider gave the file no id", call.what));
  const StoredBatch intent{intent_id(file_id), judge, lines.sha256, std::string(unconfirmed)};
  const auto begun = begin_batch(call, intent, store);
  store.remove_batch(intent.id);
  add_batch(store, begun);
  return {.sent = true,
          .lines = std::ssize(lines.pending),
          .note = part ? fmt::format("the other {} lines have their reply",
                                     lines.lines - std::ssize(lines.pending))
                       : std::string()};
}

BatchStatus collect_batch(const StoredBatch& batch, Endpoint& endpoint, Store& store,
                          const std::filesystem::path& folder,
                          const std::function<bool()>& interrupted) {
  const Call call{endpoint, "batch " + batch.id, interrupted};
  if (batch.state == unconfirmed) {
    const auto found = settle(call, batch, store);
    if (!found)
      throw Error(
          fmt::format("{}: the provider has no batch of this submission; submit the file "
                      "again",
                      call.what));
    return {
        .state = found->state, .kind = StateKind::running, .details = {"found as " + found->id}};
  }
  simdjson::dom::parser parser;
  const auto reply = call({.method = "GET", .path = "/batches/" + provider_id(batch)});
  const auto root = call.object_in(reply, parser);
  BatchStatus status{.state = text_in(root, "status")};
  status.kind = kind_of_state(status.state);
  if (!is_final(status.state)) {
    store.add(StoredBatch{batch.id, batch.judge, batch.file_sha256, status.state});
    store.commit();
    return status;
  }
  status.details = details_in(root);
  status.results = collect_files(call, root, batch, store, folder);
  // A page instead of results is fetched again by the next call.
  if (!status.results.foreign.empty()) {
    status.kind = StateKind::failed;
    return status;
  }
  if (status.kind == StateKind::completed && status.results.matched() == status.results.failed)
    status.kind = StateKind::failed;
  store.add(StoredBatch{batch.id, batch.judge, batch.file_sha256, status.state});
  store.commit();
  return status;
}

}  // namespace sp2dpo::annotate
