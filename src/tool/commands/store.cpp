// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "command.hpp"
#include "named_files.hpp"
#include "text/json_writer.hpp"
#include <fmt/format.h>

#include <sp2dpo/annotate/store.hpp>
#include <sp2dpo/error.hpp>
#include <sp2dpo/io/output_file.hpp>

namespace sp2dpo::tool {

namespace {

using annotate::Store;

struct StoreOptions {
  std::string out;
  std::vector<std::string> in;
};

void merge(const StoreOptions& options) {
  // Before OUT is made: a missing or damaged input leaves nothing behind.
  for (const auto& file : options.in) (void)Store(file, Store::Access::read);
  Store store(options.out);
  for (const auto& file : options.in) {
    const auto merged = store.merge(file);
    fmt::print("{}: {} replies are new, {} known", file, merged.replies, merged.known);
    if (merged.different > 0)
      fmt::print("; {} differ from those in {}, which are kept", merged.different, options.out);
    fmt::print("\n");
  }
}

bool is_utf8(std::string_view bytes) {
  try {
    text::require_utf8(bytes);
    return true;
  } catch (const InvalidArgument&) {
    return false;
  }
}

/// Appends one reply as a line of JSON. A body that is not UTF-8 is written in hex.
void append_reply(std::string& line, const annotate::StoredReply& reply,
                  const std::optional<annotate::StoredRequest>& request) {
  text::JsonWriter json(line);
  json.open('{');
  json.key("ask").integer(reply.ask);
  json.key("attempts").integer(reply.attempts);
  if (is_utf8(reply.body)) {
    json.key("body").text(reply.body);
  } else {
    std::string hex;
    for (const unsigned char byte : reply.body)
      fmt::format_to(std::back_inserter(hex), "{:02x}", byte);
    json.key("body_hex").text(hex);
  }
  if (reply.usage) json.key("completion_tokens").integer(reply.usage->completion_tokens);
  json.key("created").integer(reply.created);
  if (request) json.key("family").text(request->family);
  json.key("http_status").integer(reply.http_status);
  json.key("key").text(reply.key);
  if (request) json.key("model").text(request->model);
  if (reply.usage) json.key("prompt_tokens").integer(reply.usage->prompt_tokens);
  json.key("request_id").text(reply.request_id);
  json.key("seconds").raw(fmt::format("{}", reply.seconds));
  if (reply.seed) json.key("seed").integer(*reply.seed);
  json.close('}');
  line += '\n';
}

void write(const StoreOptions& options) {
  const Store store(options.in.front(), Store::Access::read);
  io::OutputFile out(checked_output(options.out));
  std::int64_t count = 0;
  std::string line;
  store.each_reply([&](const annotate::StoredReply& reply) {
    line.clear();
    append_reply(line, reply, store.request(reply.key));
    out.write(line);
    ++count;
  });
  out.commit();
  fmt::print("{} is written: {} replies\n", options.out, count);
}

}  // namespace

Run declare_store(args::Command app) {
  const auto options = std::make_shared<StoreOptions>();
  app.require_subcommand();
  auto merging = app.subcommand("merge", "Merge stores into one");
  merging.option("OUT", &options->out, "Store to merge into; created if missing")
      .file(args::FileUse::write_store)
      .required();
  merging.option("IN", &options->in, "Stores to read").file(args::FileUse::read).required();
  auto exporting = app.subcommand("export", "Write every raw reply as a line of JSON");
  exporting.option("STORE", &options->in, "The store")
      .file(args::FileUse::read)
      .required()
      .takes(1);
  exporting.option("--out", &options->out, "File to write, .jsonl")
      .file(args::FileUse::write)
      .required();
  return [options, merging] {
    if (merging.chosen()) {
      merge(*options);
    } else {
      write(*options);
    }
  };
}

}  // namespace sp2dpo::tool
