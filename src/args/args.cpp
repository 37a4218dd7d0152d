// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <iostream>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "description.hpp"
#include <CLI/CLI.hpp>
#include <args.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <suggest.hpp>
#include <terminal.hpp>

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

/// A check in words. CLI11's own let nan through and print the largest double in full.
std::function<std::string(const std::string&)> number_check(bool (*accepts)(double),
                                                            std::string wanted) {
  return [accepts, wanted = std::move(wanted)](const std::string& text) {
    double number = 0;
    if (CLI::detail::lexical_cast(text, number) && accepts(number)) return std::string();
    return "expected a number " + wanted + ", got " + text;
  };
}

template <class T>
struct Plain {
  using Type = T;
};
template <class T>
struct Plain<std::optional<T>> {
  using Type = T;
};

/// Refuses what is not a T, in words.
template <class T>
std::string check_value(const std::string& text) {
  if (text.empty()) return "expected a number, got an empty value";
  T value{};
  double number = 0;
  const bool is_number = CLI::detail::lexical_cast(text, number) && std::isfinite(number);
  // CLI11 wraps negative numbers.
  if (std::is_unsigned_v<T> && is_number && number < 0)
    return "expected a whole number of at least 0, got " + text;
  if (CLI::detail::lexical_cast(text, value) && is_number) return "";
  if (std::is_floating_point_v<T>) return "expected a number, got " + text;
  if (!is_number || std::trunc(number) != number) return "expected a whole number, got " + text;
  return fmt::format("expected a whole number of at most {} digits, got {}",
                     std::numeric_limits<T>::digits10, text);
}

std::string full_name(const CLI::App& app) {
  const auto* const parent = app.get_parent();
  return (parent == nullptr ? "" : full_name(*parent) + " ") + app.get_name();
}

std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const auto& name : option.get_snames()) names.push_back("-" + name);
  for (const auto& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

std::vector<const CLI::App*> parts_of(const CLI::App& app) {
  return app.get_subcommands(std::function<bool(const CLI::App*)>());
}

/// Moves "Output" and "Other" to the end and keeps the order of the other headings' first entries.
template <class T>
void sort_by_heading(std::vector<T>& entries) {
  std::vector<std::string> order;
  for (const auto& entry : entries) order.push_back(entry.heading);
  order.insert(order.end(), {"Output", "Other"});
  const auto rank = [&](const T& entry) {
    const bool is_last = entry.heading == "Output" || entry.heading == "Other";
    return is_last ? std::find(order.end() - 2, order.end(), entry.heading)
                   : std::ranges::find(order, entry.heading);
  };
  std::ranges::stable_sort(entries, {},
                           [&](const T& entry) { return rank(entry) - order.begin(); });
}

OptionText describe(const CLI::Option& option) {
  OptionText text{.names = names_of(option),
                  .help = option.get_description(),
                  .heading = option.get_group(),
                  .standard = option.get_default_str(),
                  .required = option.get_required(),
                  .repeats = option.get_expected_max() > 1};
  if (option.get_positional() && text.names.empty())
    text.value = option.get_name(true);
  else if (option.get_items_expected_max() > 0)
    text.value = option.get_type_name().substr(0, option.get_type_name().find(':'));
  return text;
}

CommandText describe(const CLI::App& app) {
  CommandText text{.path = full_name(app),
                   .summary = app.get_description(),
                   .heading = app.get_group(),
                   .footer = app.get_footer()};
  if (text.footer.starts_with('\n')) text.footer.erase(0, 1);
  for (const auto* const option : app.get_options()) {
    if (option->get_group().empty()) continue;
    auto described = describe(*option);
    (described.names.empty() ? text.arguments : text.options).push_back(std::move(described));
  }
  for (const auto* const part : parts_of(app))
    if (!part->get_group().empty()) text.commands.push_back(describe(*part));
  sort_by_heading(text.options);
  sort_by_heading(text.commands);
  return text;
}

/// The command that the command line has named, as far as it was parsed.
const CLI::App& chosen_command(const CLI::App& program) {
  const auto* app = &program;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return *app;
}

bool has_option(const CLI::App& app, const std::string& name) {
  const auto parts = parts_of(app);
  return std::ranges::any_of(app.get_options(),
                             [&](const auto* option) { return option->check_name(name); }) ||
         std::ranges::any_of(parts, [&](const auto* part) { return has_option(*part, name); });
}

/// What is wrong with an argument that this command does not know.
std::string unknown(const CLI::App& app, const std::string& argument) {
  const auto parts = parts_of(app);
  std::vector<std::string> names;
  if (argument.starts_with('-')) {
    const auto name = argument.substr(0, argument.find('='));
    for (const auto* const option : app.get_options())
      if (!option->get_group().empty())
        for (auto& known : names_of(*option)) names.push_back(std::move(known));
    if (std::ranges::any_of(parts, [&](const auto* part) { return has_option(*part, name); }))
      return fmt::format("option {} belongs behind the command", name);
    return fmt::format("unknown option {}{}", name, did_you_mean(name, names));
  }
  if (parts.empty()) return fmt::format("unexpected argument \"{}\"", argument);
  for (const auto* const part : parts)
    if (!part->get_group().empty()) names.push_back(part->get_name());
  const auto suggestion = did_you_mean(argument, names);
  return fmt::format(
      "unknown command \"{}\"{}", argument,
      suggestion.empty() ? fmt::format("; the commands: {}", fmt::join(names, ", ")) : suggestion);
}

/// Something that is wrong with the words behind a command.
struct Fault {
  const CLI::App* app;
  std::string text;  // empty: nothing is wrong
};

/// The first argument that no command knows.
Fault first_unknown(const CLI::App& program) {
  const CLI::App* app = &program;
  while (true) {
    for (const auto& argument : app->remaining())
      if (argument != "--") return {app, unknown(*app, argument)};
    if (app->get_subcommands().empty()) return {app, ""};
    app = app->get_subcommands().front();
  }
}

std::string missing(const CLI::App& app, const std::string& otherwise) {
  std::vector<std::string> names;
  for (const auto* const option : app.get_options())
    if (option->get_required() && option->count() == 0) names.push_back(option->get_name());
  if (names.empty()) return otherwise;
  if (names.size() == 1) return names.front() + " is required";
  const auto last = names.back();
  names.pop_back();
  return fmt::format("{} and {} are required", fmt::join(names, ", "), last);
}

/// An option without its value, or with too many.
std::string mismatch(const CLI::App& app, const std::string& what) {
  const auto name = what.substr(0, what.find(':'));
  for (const auto* const option : app.get_options()) {
    if (option->get_name() != name) continue;
    const int most = option->get_items_expected_max();
    const auto value = describe(*option).value;
    if (std::cmp_greater(option->count(), most) && most == 1)
      return fmt::format("{} was given {} times; expected one value", name, option->count());
    if (option->count() == 0) return fmt::format("{} needs a value: {} {}", name, name, value);
  }
  return what;
}

Fault fault_of(const CLI::App& program, const CLI::ParseError& error) {
  if (auto fault = first_unknown(program); !fault.text.empty()) return fault;
  const auto& app = chosen_command(program);
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr)
    return {&app, missing(app, error.what())};
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr)
    return {&app, mismatch(app, error.what())};
  return {&app, error.what()};
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

bool lacks_subcommand(const CLI::App& app) {
  return !parts_of(app).empty() && app.get_require_subcommand_min() > 0;
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

Option& Option::value_name(const std::string& name) {
  option_->type_name(name);
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
  option_->check([lowest, highest](const std::string& text) {
    std::int64_t number = 0;
    if (CLI::detail::lexical_cast(text, number) && number >= lowest && number <= highest)
      return std::string();
    return fmt::format("expected a whole number from {} to {}, got {}", lowest, highest, text);
  });
  return *this;
}

Option& Option::one_of(std::vector<std::string> values) {
  option_->type_name(fmt::format("{}", fmt::join(values, "|")));
  option_->check([values = std::move(values)](const std::string& text) {
    if (std::ranges::find(values, text) != values.end()) return std::string();
    return fmt::format("expected {}, got \"{}\"{}", fmt::join(values, " or "), text,
                       did_you_mean(text, values));
  });
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
  return std::visit(
      [&](auto* target) {
        using T = typename Plain<std::remove_pointer_t<decltype(target)>>::Type;
        auto* const option = app_->add_option(name, *target, help);
        if constexpr (std::is_arithmetic_v<T>) {
          option->type_name(std::is_integral_v<T> ? "N" : "X");
          option->check(check_value<T>);
        }
        return Option(option);
      },
      value);
}

Option Command::flag(const std::string& name, bool* value, const std::string& help) {
  return Option(app_->add_flag(name, *value, help));
}

void Command::common_flag(const std::string& name, bool* value, const std::string& help) {
  app_->add_flag(name, *value, help)->group("Other");
  for (auto* const part : app_->get_subcommands(std::function<bool(CLI::App*)>()))
    Command(part).common_flag(name, value, help);
}

void Command::section(const std::string& heading) {
  app_->option_defaults()->group(heading);
}

Command Command::subcommand(const std::string& name, const std::string& summary,
                            const std::string& heading) {
  auto* const part = app_->add_subcommand(name, summary);
  part->group(heading);
  part->get_help_ptr()->group("Other");
  return Command(part);
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
  app_->set_help_flag("-h,--help", "Print this help")->group("Other");
}

Program::~Program() = default;

void Program::version(const std::string& text) {
  app_->set_version_flag("--version", text, "Print the version")->group("Other");
}

std::vector<NamedFile> Program::files() const {
  std::vector<NamedFile> files;
  append_files(files, *app_);
  return files;
}

std::optional<int> Program::parse(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  // `sp2dpo help schedule` is `sp2dpo schedule --help`.
  if (!words.empty() && words.front() == "help" && lacks_subcommand(*app_)) {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  std::ranges::reverse(words);  // CLI11 takes them from the back
  try {
    app_->parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    std::cout << help_text(describe(chosen_command(*app_))) << std::flush;
    return 0;
  } catch (const CLI::Success& success) {
    return app_->exit(success);
  } catch (const CLI::ParseError& error) {
    const auto& app = chosen_command(*app_);
    if (lacks_subcommand(app) && first_unknown(*app_).text.empty()) {
      std::cerr << help_text(describe(app)) << std::flush;
      return 2;
    }
    const auto fault = fault_of(*app_, error);
    const auto name = full_name(*fault.app);
    std::cerr << emphasized(name + ":", Emphasis::error, stderr) << ' ' << fault.text << "\nRun "
              << name << " --help for its options.\n"
              << std::flush;
    return 2;
  }
  return std::nullopt;
}

std::string Program::completion(std::string_view shell) const {
  const auto program = describe(*app_);
  return shell == "zsh" ? zsh_completion(program) : bash_completion(program);
}

std::map<std::string, std::string> Program::man_pages() const {
  std::map<std::string, std::string> pages;
  add_man_pages(pages, describe(*app_), app_->version());
  return pages;
}

}  // namespace sp2dpo::args
