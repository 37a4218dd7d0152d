// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <utility>

#include "json_rows.hpp"
#include "plain_name.hpp"
#include "plain_row.hpp"
#include "rows_ahead.hpp"
#include "text/json_writer.hpp"

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/io/annotations.hpp>

namespace sp2dpo::io {

namespace {

constexpr std::int64_t max_samples = std::numeric_limits<std::int32_t>::max();

/// The value that the field names.
template <NamedEnum Enum, class AField>
Enum named(const AField& field) {
  const auto text = field.text();
  const auto found = find_enum<Enum>(text);
  if (!found) field.fail(expected_name<Enum>(text));
  return *found;
}

/// key == name, with a size that the compiler knows.
template <std::size_t size>
bool same(std::string_view key, const char (&name)[size]) {
  return key.size() == size - 1 && std::memcmp(key.data(), name, size - 1) == 0;
}

/// Parses a row, given as a Field or a PlainRow.
template <class Row>
void parse(const Row& row, const Categories& categories, Annotation& annotation) {
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

  row.each([&](const auto& field) {
    const auto is = [key = field.key()](const auto& name) { return same(key, name); };
    if (is("pair_id")) {
      field.id(annotation.pair_id);
      seen |= pair_id;
    } else if (is("annotator")) {
      annotation.annotator = field.name();
      seen |= annotator;
    } else if (is("prompt")) {
      annotation.prompt = field.name();
      seen |= prompt;
    } else if (is("category")) {
      const auto known = categories.find(field.text());
      if (!known)
        field.fail(fmt::format("unknown category \"{}\"; expected one of: {}", field.text(),
                               categories.list()));
      annotation.category = *known;
      seen |= category;
    } else if (is("magnitude")) {
      annotation.magnitude = field.number(0, 1);
      seen |= magnitude;
    } else if (is("confidence")) {
      annotation.confidence = field.number(0, 1);
      seen |= confidence;
    } else if (is("preferred")) {
      annotation.preferred = named<Preferred>(field);
    } else if (is("order")) {
      annotation.order = named<Order>(field);
    } else if (is("sample")) {
      annotation.sample = static_cast<std::int32_t>(field.integer(0, max_samples));
    } else if (is("rationale")) {
      annotation.rationale = field.text();
    } else if (is("meta")) {
      field.append_to(annotation.meta);
    } else {
      field.check();
    }
  });
  for (const auto& [bit, field] : needed)
    if ((seen & bit) == 0) row.fail(field, "is missing");
}

/// Parses rows by the fast path, and the others by Field, which reports errors.
class AnnotationParser {
 public:
  AnnotationParser(const std::string& file, const Categories& categories)
      : file_(file), categories_(categories) {}

  void operator()(std::int64_t line, std::string_view row, Annotation& annotation) {
    if (not_plain_ == 0) {
      try {
        return parse(PlainRow(plain_, row), categories_, annotation);
      } catch (NotPlain) {
        not_plain_ = 64;  // such rows come in groups
      }
    }
    --not_plain_;
    parse(rows_(file_, line, row), categories_, annotation);
  }

 private:
  const std::string& file_;
  const Categories& categories_;
  simdjson::ondemand::parser plain_;
  RowParser rows_;
  int not_plain_ = 0;  // rows left to parse without trying the fast path
};

}  // namespace

struct AnnotationReader::Ahead : RowsAhead<Annotation> {
  using RowsAhead::RowsAhead;
};

AnnotationReader::AnnotationReader(RowsFrom rows, AnnotationReaderOptions options)
    : RowReader(std::move(rows), options.lenient),
      ahead_(std::make_unique<Ahead>(
          source(), [&file = source().name(), categories = std::move(options.categories)] {
            const auto parser = std::make_shared<AnnotationParser>(file, categories);
            return [parser](std::int64_t line, std::string_view row, Annotation& annotation) {
              (*parser)(line, row, annotation);
            };
          })) {}

AnnotationReader::~AnnotationReader() = default;

Annotation* AnnotationReader::next_place() {
  Annotation* place = nullptr;
  const bool found = next_row(
      [this] {
        if (!ahead_->next()) return false;
        at(ahead_->line(), ahead_->bytes_read());
        return true;
      },
      [&] {
        place = &ahead_->value();
        return true;
      });
  return found ? place : nullptr;
}

const Annotation* AnnotationReader::next() {
  return next_place();
}

bool AnnotationReader::next(Annotation& annotation) {
  Annotation* const place = next_place();
  if (place != nullptr) std::swap(annotation, *place);
  return place != nullptr;
}

std::vector<Annotation> read_annotations(RowsFrom rows, const AnnotationReaderOptions& options) {
  AnnotationReader reader(std::move(rows), options);
  std::vector<Annotation> annotations;
  for (Annotation annotation; reader.next(annotation);) annotations.push_back(annotation);
  return annotations;
}

bool add_to(VoteTable& votes, const Annotation& annotation, AnnotationReader& reader) {
  try {
    votes.add(annotation, {reader.path().native(), reader.line()});
    return true;
  } catch (const InvalidArgument& error) {
    reader.refuse(votes.has(annotation.pair_id) ? "" : "pair_id", error.what());
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
    detail::require(!text.empty(), "pair {}: empty {}", annotation.pair_id, what);
  for (const auto& [what, value] :
       {std::pair{"magnitude", annotation.magnitude}, {"confidence", annotation.confidence}})
    detail::require(value >= 0 && value <= 1, "pair {}: {} must lie in [0, 1], not {}",
                    annotation.pair_id, what, value);
  detail::require(annotation.sample >= 0, "pair {}: sample must be >= 0, not {}",
                  annotation.pair_id, annotation.sample);

  line_.clear();
  text::JsonWriter json(line_);
  json.open('{');
  json.key("annotator").text(annotation.annotator);
  json.key("category").text(categories_.name(annotation.category));
  json.key("confidence").number(annotation.confidence);
  json.key("magnitude").number(annotation.magnitude);
  if (!annotation.meta.empty()) json.key("meta").raw(text::canonical_json(annotation.meta));
  if (annotation.order) json.key("order").text(name(*annotation.order));
  json.key("pair_id").text(annotation.pair_id);
  json.key("preferred").text(name(annotation.preferred));
  json.key("prompt").text(annotation.prompt);
  if (!annotation.rationale.empty()) json.key("rationale").text(annotation.rationale);
  json.key("sample").integer(annotation.sample);
  json.close('}');
  text::require_utf8(line_);
  line_ += '\n';
  file_.write(line_);
  ++rows_;
}

}  // namespace sp2dpo::io
