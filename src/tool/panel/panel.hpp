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

/// Which pairs a panel is asked about, and which panel.
struct PanelOptions {
  PairOptions pairs;
  std::string panel;
  std::string prompts;
  std::string store;
  std::string shard;
  std::int64_t limit = 0;   ///< 0: all
  std::int64_t sample = 0;  ///< 0: all
  std::uint64_t seed = 0;
  bool changed_pairs = false;
  bool allow_unpriced = false;

  void declare(args::Command app);
};

/// A panel, ready to be asked.
struct PanelRun {
  explicit PanelRun(const PanelOptions& options);
  PanelRun(const PanelRun&) = delete;
  PanelRun& operator=(const PanelRun&) = delete;

  /// Makes the endpoints: members can be asked from here on.
  void connect();
  /// Throws where a teacher has no price.
  void require_prices() const;

  annotate::PanelConfig config;
  std::vector<PreferencePair> pairs;
  std::string pairs_sha256;
  std::vector<std::unique_ptr<annotate::Endpoint>> endpoints;
  std::vector<annotate::PanelMember> members;
};

/// Opens the store, new where there is none, and refuses one that was begun with other pairs.
[[nodiscard]] std::unique_ptr<annotate::Store> open_store(const PanelOptions& options,
                                                          const PanelRun& panel);

/// Calls, tokens and cost, for a person. `batch`: at the price of batches.
void print_plan(const PanelRun& panel, const std::vector<annotate::MemberPlan>& plans, bool batch);

/// True once the user has asked for an end (SIGINT, SIGTERM). The second time ends the program.
class Interrupt {
 public:
  Interrupt();
  [[nodiscard]] static bool asked();
};

}  // namespace sp2dpo::tool
