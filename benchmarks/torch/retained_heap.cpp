// SPDX-License-Identifier: Apache-2.0
#include "retained_heap.hpp"

#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "eager.hpp"
#include "measure.hpp"
#include <ATen/Parallel.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sp2dpo::benchmarks {
namespace {

void check(bool ok, const char* what, int error = errno) {
  if (!ok) throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

RetainedHeap::RetainedHeap(const char* program, const Shape& shape, int threads) {
  int to[2], from[2];
  check(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0, "pipe");
  posix_spawn_file_actions_t streams;
  posix_spawn_file_actions_init(&streams);
  posix_spawn_file_actions_adddup2(&streams, to[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&streams, from[1], STDOUT_FILENO);

  std::vector<std::string> arguments{program, argument, std::to_string(threads)};
  for (const std::int64_t number :
       {std::int64_t{shape.level}, std::int64_t{shape.dtype == at::kFloat}, shape.pairs, shape.rows,
        shape.vocab, shape.hidden, std::int64_t{shape.mask_percent}})
    arguments.push_back(std::to_string(number));
  std::vector<char*> argv;
  for (auto& text : arguments) argv.push_back(text.data());
  argv.push_back(nullptr);

  std::string tunables =
      "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=1099511627776:"
      "glibc.malloc.trim_threshold=1099511627776";
  std::vector<char*> environment{tunables.data()};
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);

  const int error =
      posix_spawn(&process_, program, &streams, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&streams);
  close(to[0]);
  close(from[1]);
  check(error == 0, "posix_spawn", error);
  questions_ = fdopen(to[1], "w");
  answers_ = fdopen(from[0], "r");
  (void)seconds();
}

RetainedHeap::~RetainedHeap() {
  std::fclose(questions_);  // the process exits at the end of its input
  std::fclose(answers_);
  waitpid(process_, nullptr, 0);
}

double RetainedHeap::seconds() const {
  double result = 0;
  if (std::fputc('\n', questions_) == EOF || std::fflush(questions_) != 0 ||
      std::fscanf(answers_, "%lf", &result) != 1)
    throw std::runtime_error("the process with the retained heap has ended");
  return result;
}

int RetainedHeap::serve(std::span<char* const> arguments) {
  std::vector<std::int64_t> numbers;
  for (const char* text : arguments) numbers.push_back(std::atoll(text));
  at::set_num_threads(static_cast<int>(numbers.at(0)));
  const Batch batch({.level = static_cast<int>(numbers.at(1)),
                     .dtype = numbers.at(2) != 0 ? at::kFloat : at::kBFloat16,
                     .pairs = numbers.at(3),
                     .rows = numbers.at(4),
                     .vocab = numbers.at(5),
                     .hidden = numbers.at(6),
                     .mask_percent = static_cast<int>(numbers.at(7))});
  eager_loss(batch);
  while (std::getchar() != EOF) {
    std::printf("%.9g\n", seconds_of([&] { eager_loss(batch); }));
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace sp2dpo::benchmarks
