// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include <sp2dpo/io/manifest.hpp>
#include <sp2dpo/schedule/aggregators.hpp>
#include <sp2dpo/schedule/beta_mapper.hpp>
#include <sp2dpo/schedule/map_gaps.hpp>

namespace sp2dpo::io {

/// The name of an aggregator or mapper in manifests and on the command line.
template <class Part>
inline constexpr std::string_view part_name = "";
template <>
inline constexpr std::string_view part_name<Jmamp> = "jmamp";
template <>
inline constexpr std::string_view part_name<MeanMean> = "mean-mean";
template <>
inline constexpr std::string_view part_name<MedianMedian> = "median-median";
template <>
inline constexpr std::string_view part_name<MeanMedian> = "mean-median";
template <>
inline constexpr std::string_view part_name<PooledMedian> = "pooled-median";
template <>
inline constexpr std::string_view part_name<PooledTrimmedMean> = "trimmed-mean";
template <>
inline constexpr std::string_view part_name<Linear> = "linear";
template <>
inline constexpr std::string_view part_name<Constant> = "constant";
template <>
inline constexpr std::string_view part_name<Logistic> = "logistic";
template <>
inline constexpr std::string_view part_name<Rank> = "rank";
template <>
inline constexpr std::string_view part_name<ByCategory> = "category";

/// Names and parameters of the library's aggregators, mappers and policies (docs/aggregators.md).
/// Throws InvalidArgument if the number of maps and categories differ.
[[nodiscard]] PartDescription describe(const Jmamp& aggregator);
[[nodiscard]] PartDescription describe(const MeanMean& aggregator);
[[nodiscard]] PartDescription describe(const MedianMedian& aggregator);
[[nodiscard]] PartDescription describe(const MeanMedian& aggregator);
[[nodiscard]] PartDescription describe(const PooledMedian& aggregator);
[[nodiscard]] PartDescription describe(const PooledTrimmedMean& aggregator);
[[nodiscard]] PartDescription describe(const Linear& mapper);
[[nodiscard]] PartDescription describe(const Constant& mapper);
[[nodiscard]] PartDescription describe(const Logistic& mapper);
[[nodiscard]] PartDescription describe(const Rank& mapper);
[[nodiscard]] PartDescription describe(const ByCategory& mapper, const Categories& categories);
[[nodiscard]] PartDescription describe(const Missing& missing);

}  // namespace sp2dpo::io
