// SPDX-License-Identifier: Apache-2.0
// fake_provider [--port N] [--faults RATE] [--seed N] [--latency MS] [--key KEY]
// Prints its base URL in the first line and serves until its input ends.
#include <charconv>
#include <exception>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

#include "fake_provider.hpp"

namespace {

double number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw std::invalid_argument("not a number: " + text);
  return value;
}

}  // namespace

int main(int argc, char** argv) try {
  std::map<std::string, std::string, std::less<>> options = {
      {"--port", "0"}, {"--faults", "0"}, {"--seed", "0"}, {"--latency", "0"}, {"--key", ""}};
  for (int i = 1; i < argc; i += 2) {
    const auto found = options.find(std::string_view(argv[i]));
    if (found == options.end() || i + 1 == argc)
      throw std::invalid_argument(std::string("not an option with a value: ") + argv[i]);
    found->second = argv[i + 1];
  }
  using namespace sp2dpo::annotate::test;
  FakeOptions fake{
      .port = static_cast<int>(number(options["--port"])),
      .key = options["--key"],
      .latency = std::chrono::milliseconds(static_cast<int>(number(options["--latency"])))};
  if (const double rate = number(options["--faults"]); rate > 0)
    fake.plan = mixed_faults(rate, static_cast<std::uint64_t>(number(options["--seed"])));
  const FakeProvider provider(fake);
  std::cout << provider.base_url() << std::endl;
  while (std::cin.get() != std::char_traits<char>::eof()) {
  }
  return 0;
} catch (const std::exception& problem) {
  std::cerr << "fake_provider: " << problem.what() << '\n';
  return 2;
}
