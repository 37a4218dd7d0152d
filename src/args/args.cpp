// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include <CLI/CLI.hpp>
#include <args.hpp>

namespace sp2dpo::args {

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
  option_->check(CLI::PositiveNumber);
  return *this;
}

Option& Option::non_negative() {
  option_->check(CLI::NonNegativeNumber);
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

std::optional<int> Program::parse(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app_->exit(error) == 0 ? 0 : 2;
  }
  return std::nullopt;
}

}  // namespace sp2dpo::args
