// SPDX-License-Identifier: Apache-2.0
#include "output/dataset_card.hpp"

#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <string_view>

#include "text/json_writer.hpp"
#include <fmt/format.h>

namespace sp2dpo::tool {

namespace {

struct Column {
  const char* name;
  const char* hub_type;
  const char* croissant_type;
  const char* meaning;
};

constexpr Column columns[] = {
    {"id", "string", "sc:Text", "the preference pair"},
    {"beta", "float64", "sc:Float", "temperature of the pair's DPO loss"},
    {"gap", "float64", "sc:Float", "signed semantic gap between the responses; null if missing"},
    {"category", "string", "sc:Text", "what the responses differ in; null without a gap"},
    {"n_annotators", "int64", "sc:Integer", "annotators that counted"},
    {"n_annotations", "int64", "sc:Integer", "annotations that counted"},
    {"spread", "float64", "sc:Float", "largest minus smallest annotator's gap"}};

std::string_view size_category(std::size_t rows) {
  if (rows < 1'000) return "n<1K";
  if (rows < 10'000) return "1K<n<10K";
  if (rows < 100'000) return "10K<n<100K";
  if (rows < 1'000'000) return "100K<n<1M";
  if (rows < 10'000'000) return "1M<n<10M";
  return "10M<n<100M";
}

/// Quotes text so that it is valid YAML and JSON.
std::string in_quotes(std::string_view text) {
  std::string json;
  text::append_json(json, text);
  return json;
}

/// Escapes text for a cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '|') result += '\\';
    result += c == '\n' ? ' ' : c;
  }
  return result;
}

std::string agreement_line(const report::AgreementFigure& figure) {
  const auto& estimate = figure.estimate;
  if (!estimate.value) return "undefined: " + estimate.reason;
  std::string text = fmt::format("{:.3f}", *estimate.value);
  if (estimate.ci) text += fmt::format(" ({:.3f} to {:.3f})", estimate.ci->low, estimate.ci->high);
  return text;
}

std::string description(const io::ScheduleFile& schedule) {
  return fmt::format(
      "One beta for each of {} preference pairs, for Direct Preference Optimization with a "
      "temperature per pair.",
      schedule.schedule.size());
}

/// The full context of Croissant 1.0; validators require its unused entries too.
std::string croissant_context() {
  std::map<std::string, std::string, std::less<>> context{
      {"@language", R"("en")"},
      {"@vocab", R"("https://schema.org/")"},
      {"conformsTo", R"("dct:conformsTo")"},
      {"cr", R"("http://mlcommons.org/croissant/")"},
      {"data", R"({"@id":"cr:data","@type":"@json"})"},
      {"dataType", R"({"@id":"cr:dataType","@type":"@vocab"})"},
      {"dct", R"("http://purl.org/dc/terms/")"},
      {"examples", R"({"@id":"cr:examples","@type":"@json"})"},
      {"rai", R"("http://mlcommons.org/croissant/RAI/")"},
      {"sc", R"("https://schema.org/")"}};
  for (const std::string name : {"citeAs",       "column",        "equivalentProperty",
                                 "extract",      "field",         "fileObject",
                                 "fileProperty", "fileSet",       "format",
                                 "includes",     "isLiveDataset", "jsonPath",
                                 "key",          "md5",           "parentField",
                                 "path",         "recordSet",     "references",
                                 "regex",        "repeated",      "replace",
                                 "samplingRate", "separator",     "source",
                                 "subField",     "transform"})
    context.emplace(name, "\"cr:" + name + '"');
  std::string text;
  text::JsonWriter json(text);
  json.open('{');
  for (const auto& [name, value] : context) json.key(name).raw(value);
  json.close('}');
  return text;
}

}  // namespace

std::string dataset_card(const io::ScheduleFile& schedule, const report::Page& page,
                         const Publication& publication) {
  std::string card = fmt::format("---\npretty_name: {}\n", in_quotes(publication.name));
  const auto out = std::back_inserter(card);
  if (!publication.license.empty())
    fmt::format_to(out, "license: {}\n", in_quotes(publication.license));
  fmt::format_to(out,
                 "tags:\n- dpo\n- preference-data\n- sp2dpo\nsize_categories:\n- {}\n"
                 "dataset_info:\n  features:\n",
                 size_category(schedule.schedule.size()));
  for (const auto& column : columns)
    fmt::format_to(out, "  - name: {}\n    dtype: {}\n", column.name, column.hub_type);
  fmt::format_to(out,
                 "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {}\n"
                 "---\n\n# {}\n\n{}\n\n## Columns\n\n| column | type | meaning |\n|---|---|---|\n",
                 in_quotes(publication.file), publication.name, description(schedule));
  for (const auto& column : columns)
    fmt::format_to(out, "| `{}` | {} | {} |\n", column.name, column.hub_type, column.meaning);

  card += "\n## How it was made\n\n| | |\n|---|---|\n";
  for (const auto& [name, value] : page.parameters)
    fmt::format_to(out, "| {} | `{}` |\n", cell(name), cell(value));
  for (const auto& [name, value] : page.facts)
    fmt::format_to(out, "| {} | {} |\n", cell(name), cell(value));
  if (!page.sources.empty()) {
    card += "\n| input | file | rows | SHA-256 |\n|---|---|---|---|\n";
    for (const auto& source : page.sources)
      fmt::format_to(out, "| {} | `{}` | {} | `{}` |\n", cell(source.role), cell(source.path),
                     source.rows, source.sha256);
  }
  if (!page.annotators.empty()) {
    card += "\n## Annotators\n\n| annotator | annotations | mean signed gap |\n|---|---|---|\n";
    for (const auto& annotator : page.annotators)
      fmt::format_to(out, "| {} | {} | {:+.3f} |\n", cell(annotator.name), annotator.n,
                     annotator.sum / static_cast<double>(annotator.n));
  }
  if (!page.agreement.empty()) {
    card += "\n## Agreement\n\n| figure | value (95 % interval) |\n|---|---|\n";
    for (const auto& figure : page.agreement)
      fmt::format_to(out, "| {}: {} | {} |\n", cell(figure.heading), cell(figure.name),
                     cell(agreement_line(figure)));
  }
  card += "\n## Checks\n\n";
  for (const auto& check : page.checks)
    fmt::format_to(out, "* **{}** {}{}\n", check.check,
                   check.result == report::CheckResult::warn ? "(WARN) " : "", check.sentence);
  card +=
      "\n## Limits\n\nThe betas express the judgments of a panel of models under the rule above. "
      "Agreement among the\nannotators does not prove that they are right. The licence of the "
      "pairs "
      "and the terms of the annotating models\nalso apply to this data set.\n";
  return card;
}

std::string croissant(const io::ScheduleFile& schedule, const report::Page& page,
                      const Publication& publication) {
  std::string text;
  text::JsonWriter json(text);
  json.open('{');
  json.key("@context").raw(croissant_context());
  json.key("@type").text("sc:Dataset");
  json.key("conformsTo").text("http://mlcommons.org/croissant/1.0");
  json.key("description").text(description(schedule));
  json.key("distribution")
      .raw(fmt::format(R"([{{"@id":"schedule","@type":"cr:FileObject","contentUrl":{0},)"
                       R"("encodingFormat":"{2}","name":{0},"sha256":{1}}}])",
                       in_quotes(publication.file), in_quotes(schedule.sha256),
                       publication.file.ends_with(".parquet") ? "application/x-parquet"
                                                              : "application/jsonlines"));
  if (!publication.license.empty()) json.key("license").text(publication.license);
  json.key("name").text(publication.name);

  std::string analysis;
  for (const auto& figure : page.agreement)
    analysis += fmt::format("{}{}, {}: {}", analysis.empty() ? "" : "; ", figure.heading,
                            figure.name, agreement_line(figure));
  if (!analysis.empty()) json.key("rai:dataAnnotationAnalysis").text(analysis);
  std::string protocol;
  for (const auto& [name, value] : page.parameters)
    protocol += fmt::format("{}{}: {}", protocol.empty() ? "" : "; ", name, value);
  if (!protocol.empty()) json.key("rai:dataAnnotationProtocol").text(protocol);
  if (schedule.manifest)
    json.key("rai:dataCollectionMissingData")
        .text(fmt::format("{} of {} pairs have no gap; policy: {}",
                          schedule.manifest->counts.missing, schedule.manifest->counts.pairs,
                          schedule.manifest->missing.name));
  json.key("rai:dataLimitations")
      .text(
          "The betas express the judgments of a panel of models; their agreement does not prove "
          "that they are right.");
  if (!page.annotators.empty()) {
    json.key("rai:machineAnnotationTools").open('[');
    for (const auto& annotator : page.annotators) json.item().text(annotator.name);
    json.close(']');
  }

  json.key("recordSet").open('[');
  json.item().open('{');
  json.key("@id").text("pairs");
  json.key("@type").text("cr:RecordSet");
  json.key("field").open('[');
  for (const auto& column : columns)
    json.item().raw(fmt::format(
        R"({{"@id":"pairs/{0}","@type":"cr:Field","dataType":"{1}","description":{2},"name":"{0}",)"
        R"("source":{{"extract":{{"column":"{0}"}},"fileObject":{{"@id":"schedule"}}}}}})",
        column.name, column.croissant_type, in_quotes(column.meaning)));
  json.close(']');
  json.key("name").text("pairs");
  json.close('}');
  json.close(']');
  json.close('}');
  text::require_utf8(text);
  return text + '\n';
}

}  // namespace sp2dpo::tool
