// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <string>

#include <sp2dpo/detail/require.hpp>
#include <sp2dpo/io/describe.hpp>

namespace sp2dpo::io {

namespace {

Json::List list(Interval interval) {
  return {interval.low, interval.high};
}

/// The name and the parameters that all panel aggregators have.
template <class A>
PartDescription panel_part(const A& aggregator) {
  PartDescription part{
      std::string(part_name<A>),
      {{"min_annotators", aggregator.min_annotators}, {"min_prompts", aggregator.min_prompts}}};
  if (!aggregator.category_weights.empty())
    part.parameters.emplace("category_weights", Json::List(aggregator.category_weights.begin(),
                                                           aggregator.category_weights.end()));
  return part;
}

}  // namespace

PartDescription describe(const Jmamp& aggregator) {
  return panel_part(aggregator);
}

PartDescription describe(const MeanMean& aggregator) {
  return panel_part(aggregator);
}

PartDescription describe(const MedianMedian& aggregator) {
  return panel_part(aggregator);
}

PartDescription describe(const MeanMedian& aggregator) {
  return panel_part(aggregator);
}

PartDescription describe(const PooledMedian& aggregator) {
  return panel_part(aggregator);
}

PartDescription describe(const PooledTrimmedMean& aggregator) {
  auto part = panel_part(aggregator);
  part.parameters.emplace("share", aggregator.statistic.share);
  return part;
}

PartDescription describe(const Linear& mapper) {
  return {std::string(part_name<Linear>),
          {{"envelope", list(mapper.envelope())}, {"gap_range", list(mapper.gap_range())}}};
}

PartDescription describe(const Constant& mapper) {
  return {std::string(part_name<Constant>), {{"beta", mapper.beta()}}};
}

PartDescription describe(const Logistic& mapper) {
  return {std::string(part_name<Logistic>),
          {{"envelope", list(mapper.envelope())},
           {"midpoint", mapper.midpoint()},
           {"slope", mapper.slope()}}};
}

PartDescription describe(const Rank& mapper) {
  return {std::string(part_name<Rank>), {{"envelope", list(mapper.envelope())}}};
}

PartDescription describe(const ByCategory& mapper, const Categories& categories) {
  detail::require(mapper.maps().size() == categories.size(), "{} maps for {} categories",
                  mapper.maps().size(), categories.size());
  PartDescription part{std::string(part_name<ByCategory>), {}};
  for (std::size_t i = 0; i < categories.size(); ++i)
    part.parameters.emplace(categories.names()[i], to_json(describe(mapper.maps()[i])));
  return part;
}

PartDescription describe(const Missing& missing) {
  switch (missing.policy) {
    case Missing::Policy::drop:
      return {"drop", {}};
    case Missing::Policy::base_beta:
      return {"base-beta", {{"beta", missing.beta}}};
    case Missing::Policy::error:
      break;
  }
  return {"error", {}};
}

}  // namespace sp2dpo::io
