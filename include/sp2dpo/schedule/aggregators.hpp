// SPDX-License-Identifier: Apache-2.0
#pragma once

/// All aggregators of the library (docs/aggregators.md).
#include <sp2dpo/schedule/aggregator.hpp>
#include <sp2dpo/schedule/annotator_weights.hpp>
#include <sp2dpo/schedule/centring.hpp>
#include <sp2dpo/schedule/order_consensus.hpp>
#include <sp2dpo/schedule/pooled.hpp>
#include <sp2dpo/schedule/single.hpp>
#include <sp2dpo/schedule/with_category.hpp>
