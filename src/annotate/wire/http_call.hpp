// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>

#include "server.hpp"

#include <sp2dpo/annotate/chat.hpp>
#include <sp2dpo/annotate/endpoint_options.hpp>
#include <sp2dpo/annotate/http_call.hpp>

namespace sp2dpo::annotate {

/// Makes one call and blocks until its reply is final. Retries a GET as a chat request is retried,
/// and any other method only after a 429 or a 503 with Retry-After. `backoff` returns the shortest
/// wait after the given number of attempts. Throws InvalidArgument for a call that cannot be sent.
[[nodiscard]] ChatReply make_call(
    const Server& server, const EndpointOptions& options, const HttpCall& call,
    const std::function<std::chrono::milliseconds(int attempts)>& backoff);

}  // namespace sp2dpo::annotate
