// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>
#include <args.hpp>

namespace sp2dpo::args {

namespace {

/// The type names by which the help shows a FileUse and files() finds it again.
constexpr std::array<std::pair<FileUse, std::string_view>, 6> file_types = {
    {{FileUse::read, "FILE"},
     {FileUse::read_folder, "FOLDER"},
     {FileUse::write, "OUTFILE"},
     {FileUse::write_folder, "OUTFOLDER"},
     {FileUse::write_prefix, "PREFIX"},
     {FileUse::write_store, "STORE"}}};

std::optional<FileUse> file_use(const CLI::Option& option) {
  const std::string shown = option.get_type_name();
  const std::string_view type = std::string_view(shown).substr(0, shown.find(':'));
  for (const auto& [use, name] : file_types)
    if (type == name) return use;
  return std::nullopt;
}

/// A check in words. Not CLI11's own, whose ranges let nan through and whose messages print the
/// largest double in full.
std::function<std::string(const std::string&)> number_check(bool (*accepts)(double),
                                                            std::string wanted) {
  return [accepts, wanted = std::move(wanted)](const std::string& text) {
    double number = 0;
    if (CLI::detail::lexical_cast(text, number) && std::isfinite(number) && accepts(number))
      return std::string();
    return "expected a number " + wanted + ", got " + text;
  };
}

void append_files(std::vector<NamedFile>& files, const CLI::App& app) {
  for (const auto* const option : app.get_options()) {
    const auto use = file_use(*option);
    if (!use) continue;
    const auto& names = option->get_lnames();
    const std::string name = names.empty() ? option->get_name(true) : "--" + names.front();
    for (const auto& value : option->results()) files.push_back({*use, name, value});
  }
  for (const auto* const part : app.get_subcommands({}))
    if (part->parsed()) append_files(files, *part);
}

}  // namespace

Option& Option::required(bool required) {
  option_->required(required);
  return *this;
}

Option& Option::show_default() {
  option_->capture_default_str();
  return *this;
}

Option& Option::separated_by(char delimiter) {
  option_->delimiter(delimiter);
  return *this;
}

Option& Option::takes(int count) {
  option_->expected(count);
  return *this;
}

Option& Option::keep_last() {
  option_->take_last();
  return *this;
}

Option& Option::group(const std::string& heading) {
  option_->group(heading);
  return *this;
}

Option& Option::positive() {
  option_->check(number_check([](double number) { return number > 0; }, "above 0"));
  return *this;
}

Option& Option::non_negative() {
  option_->check(number_check([](double number) { return number >= 0; }, "of at least 0"));
  return *this;
}

Option& Option::between(std::int64_t lowest, std::int64_t highest) {
  option_->check(CLI::Range(lowest, highest));
  return *this;
}

Option& Option::one_of(std::vector<std::string> values) {
  option_->check(CLI::IsMember(std::move(values)));
  return *this;
}

Option& Option::file(FileUse use) {
  for (const auto& [known, name] : file_types)
    if (known == use) option_->type_name(std::string(name));
  const char* const standard = use == FileUse::read    ? "/dev/stdin"
                               : use == FileUse::write ? "/dev/stdout"
                                                       : "-";
  option_->transform([standard](std::string name) { return name == "-" ? standard : name; });
  return *this;
}

Option& Option::existing_file() {
  option_->check(CLI::ExistingFile);
  return *this;
}

Option& Option::existing_folder() {
  option_->check(CLI::ExistingDirectory);
  return *this;
}

Option& Option::needs(Option other) {
  option_->needs(other.option_);
  return *this;
}

Option& Option::excludes(Option other) {
  option_->excludes(other.option_);
  return *this;
}

Option& Option::excludes(const std::string& other) {
  option_->excludes(other);
  return *this;
}

bool Option::given() const {
  return option_->count() > 0;
}

Option Command::option(const std::string& name, Target value, const std::string& help) {
  return std::visit([&](auto* target) { return Option(app_->add_option(name, *target, help)); },
                    value);
}

Option Command::flag(const std::string& name, bool* value, const std::string& help) {
  return Option(app_->add_flag(name, *value, help));
}

Command Command::subcommand(const std::string& name, const std::string& summary) {
  return Command(app_->add_subcommand(name, summary));
}

void Command::require_subcommand() {
  app_->require_subcommand(1);
}

void Command::footer(const std::string& text) {
  app_->footer(text);
}

bool Command::chosen() const {
  return app_->parsed();
}

Program::Program(const std::string& name, const std::string& summary)
    : Command(nullptr), owned_(std::make_unique<CLI::App>(summary, name)) {
  app_ = owned_.get();
  app_->failure_message([name](const CLI::App*, const CLI::Error& error) {
    return name + ": " + error.what() + "\nRun it with --help for what it takes.\n";
  });
}

Program::~Program() = default;

void Program::version(const std::string& text) {
  app_->set_version_flag("--version", text);
}

std::vector<NamedFile> Program::files() const {
  std::vector<NamedFile> files;
  append_files(files, *app_);
  return files;
}

std::optional<int> Program::parse(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app_->exit(error) == 0 ? 0 : 2;
  }
  return std::nullopt;
}

}  // namespace sp2dpo::args
