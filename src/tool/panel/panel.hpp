// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "input/pairs.hpp"
#include <args.hpp>

#include <sp2dpo/annotate/endpoint.hpp>
#include <sp2dpo/annotate/panel_config.hpp>
#include <sp2dpo/annotate/run.hpp>
#include <sp2dpo/annotate/store.hpp>

namespace sp2dpo::tool {

/// The options that select a panel, its pairs and its store.
struct PanelOptions {
  PairOptions pairs;
  std::string panel;
  std::string prompts;
  std::string store;
  std::string shard;
  std::int64_t limit = 0;   ///< first pairs; 0: all
  std::int64_t sample = 0;  ///< random pairs; 0: all
  std::uint64_t seed = 0;
  bool changed_pairs = false;
  bool allow_unpriced = false;

  void declare(args::Command app);
};

/// A panel with its pairs, ready to plan or, after connect(), to run.
struct PanelRun {
  explicit PanelRun(const PanelOptions& options);
  PanelRun(const PanelRun&) = delete;
  PanelRun& operator=(const PanelRun&) = delete;

  /// How connect() changes the endpoints of the panel's file.
  struct Connection {
    std::optional<std::int64_t> wait_seconds{};  ///< for a server that has not replied yet
    bool once = false;                           ///< no second attempt
  };
  /// Creates the endpoints and attaches them to the members.
  void connect(const Connection& connection);
  /// Throws Error for a judge without a price.
  void require_prices() const;

  int prompt_version;  ///< of the library's prompts that the panel lists without a version
  annotate::PanelConfig config;
  std::vector<PreferencePair> pairs;
  std::string pairs_sha256;
  std::vector<std::unique_ptr<annotate::Endpoint>> endpoints;
  std::vector<annotate::PanelMember> members;
};

/// Opens the store, or creates it. Throws Error for one that was begun with another pairs file.
[[nodiscard]] std::unique_ptr<annotate::Store> open_store(const PanelOptions& options,
                                                          const PanelRun& panel);

/// Prints calls, tokens and cost. `batch`: at the price of batches.
void print_plan(const PanelRun& panel, const std::vector<annotate::MemberPlan>& plans, bool batch);

/// Catches SIGINT, SIGTERM and SIGHUP: the first asks for a soft stop, another one within a second
/// is ignored (`timeout` and terminals send two), and a later one ends the program.
class Interrupt {
 public:
  Interrupt();
  /// Returns true after the first signal.
  [[nodiscard]] static bool asked();
  /// Says how many requests a signal that ends the program would lose.
  static void set_under_way(std::int64_t requests);
};

}  // namespace sp2dpo::tool
