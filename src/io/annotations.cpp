// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <utility>

#include "json_rows.hpp"
#include "json_text.hpp"
#include "plain_name.hpp"

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/io/annotations.hpp>

namespace sp2dpo::io {

namespace {

constexpr std::int64_t most_samples = std::numeric_limits<std::int32_t>::max();

/// The one of `values` that has this field's text for a name.
template <class Enum>
Enum one_of(const Field& field, std::initializer_list<Enum> values) {
  const auto text = field.text();
  std::string names;
  for (const Enum value : values) {
    if (name(value) == text) return value;
    names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", name(value));
  }
  field.fail(fmt::format("expected one of {}, not \"{}\"", names, text));
}

}  // namespace

AnnotationReader::AnnotationReader(RowsFrom rows, AnnotationReaderOptions options)
    : RowReader(std::move(rows), options.lenient), options_(std::move(options)) {}

bool AnnotationReader::next(Annotation& annotation) {
  return next_row([&] {
    parse(annotation);
    return true;
  });
}

void AnnotationReader::parse(Annotation& annotation) {
  enum : unsigned {
    pair_id = 1,
    annotator = 2,
    prompt = 4,
    category = 8,
    magnitude = 16,
    confidence = 32
  };
  static constexpr std::pair<unsigned, std::string_view> needed[] = {
      {pair_id, "pair_id"},   {annotator, "annotator"}, {prompt, "prompt"},
      {category, "category"}, {magnitude, "magnitude"}, {confidence, "confidence"}};
  unsigned seen = 0;
  annotation.preferred = Preferred::chosen;
  annotation.order.reset();
  annotation.sample = 0;
  annotation.rationale.clear();
  annotation.meta.clear();

  const Field row = json().row();
  row.each([&](const Field& field) {
    const auto key = field.key();
    if (key == "pair_id") {
      field.id(annotation.pair_id);
      seen |= pair_id;
    } else if (key == "annotator") {
      annotation.annotator = field.name();
      seen |= annotator;
    } else if (key == "prompt") {
      annotation.prompt = field.name();
      seen |= prompt;
    } else if (key == "category") {
      const auto known = options_.categories.find(field.text());
      if (!known)
        field.fail(fmt::format("unknown category \"{}\"; there are: {}", field.text(),
                               options_.categories.list()));
      annotation.category = *known;
      seen |= category;
    } else if (key == "magnitude") {
      annotation.magnitude = field.number(0, 1);
      seen |= magnitude;
    } else if (key == "confidence") {
      annotation.confidence = field.number(0, 1);
      seen |= confidence;
    } else if (key == "preferred") {
      annotation.preferred =
          one_of(field, {Preferred::chosen, Preferred::rejected, Preferred::tie});
    } else if (key == "order") {
      annotation.order = one_of(field, {Order::chosen_first, Order::rejected_first});
    } else if (key == "sample") {
      annotation.sample = static_cast<std::int32_t>(field.integer(0, most_samples));
    } else if (key == "rationale") {
      annotation.rationale = field.text();
    } else if (key == "meta") {
      field.append_to(annotation.meta);
    } else {
      field.check();
    }
  });
  for (const auto& [bit, field] : needed)
    if ((seen & bit) == 0) row.fail(field, "is missing");
}

std::vector<Annotation> read_annotations(RowsFrom rows, const AnnotationReaderOptions& options) {
  AnnotationReader reader(std::move(rows), options);
  std::vector<Annotation> annotations;
  for (Annotation annotation; reader.next(annotation);) annotations.push_back(annotation);
  return annotations;
}

bool add_to(ScheduleBuilder& builder, const Annotation& annotation, AnnotationReader& reader) {
  try {
    builder.add(annotation);
    return true;
  } catch (const InvalidArgument& error) {
    reader.refuse(builder.has(annotation.pair_id) ? "" : "pair_id", error.what());
    return false;
  }
}

AnnotationWriter::AnnotationWriter(std::filesystem::path path, Categories categories)
    : file_(plain_name(std::move(path))), categories_(std::move(categories)) {}

void AnnotationWriter::write(const Annotation& annotation) {
  for (const auto& [what, text] :
       {std::pair<const char*, const std::string&>{"pair_id", annotation.pair_id},
        {"annotator", annotation.annotator},
        {"prompt", annotation.prompt}})
    detail::require(!text.empty(), "pair {}: the annotation's {} is empty", annotation.pair_id,
                    what);
  for (const auto& [what, value] :
       {std::pair{"magnitude", annotation.magnitude}, {"confidence", annotation.confidence}})
    detail::require(value >= 0 && value <= 1, "pair {}: {} must lie in [0, 1], not {}",
                    annotation.pair_id, what, value);
  detail::require(annotation.sample >= 0, "pair {}: sample must not be negative, as {} is",
                  annotation.pair_id, annotation.sample);

  line_.clear();
  JsonWriter json(line_);
  json.open('{');
  json.key("annotator").text(annotation.annotator);
  json.key("category").text(categories_.name(annotation.category));
  json.key("confidence").number(annotation.confidence);
  json.key("magnitude").number(annotation.magnitude);
  if (!annotation.meta.empty()) json.key("meta").raw(canonical_json(annotation.meta));
  if (annotation.order) json.key("order").text(name(*annotation.order));
  json.key("pair_id").text(annotation.pair_id);
  json.key("preferred").text(name(annotation.preferred));
  json.key("prompt").text(annotation.prompt);
  if (!annotation.rationale.empty()) json.key("rationale").text(annotation.rationale);
  json.key("sample").integer(annotation.sample);
  json.close('}');
  require_utf8(line_);
  line_ += '\n';
  file_.write(line_);
  ++rows_;
}

}  // namespace sp2dpo::io
