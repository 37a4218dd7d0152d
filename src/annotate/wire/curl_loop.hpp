// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <curl/curl.h>
#include <poll.h>

namespace sp2dpo::annotate {

struct FreeCurl {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  void operator()(curl_mime* mime) const { curl_mime_free(mime); }
};
using Easy = std::unique_ptr<CURL, FreeCurl>;
using Headers = std::unique_ptr<curl_slist, FreeCurl>;
using MimeForm = std::unique_ptr<curl_mime, FreeCurl>;

/// Calls curl_global_init once per program. Throws Error if it fails.
void init_curl();

/// Drives the transfers of one endpoint. It exposes its sockets, so that one thread can poll
/// several loops at once, which curl_multi_poll cannot do. Not thread-safe.
class CurlLoop {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// Keeps up to this many connections open.
  explicit CurlLoop(int connections);

  void add(CURL* easy);
  void remove(CURL* easy);

  /// The sockets and events that libcurl waits for.
  [[nodiscard]] const std::vector<pollfd>& sockets() const noexcept { return sockets_; }
  /// The time at which act() must be called even without an event.
  [[nodiscard]] std::optional<Time> alarm() const noexcept { return alarm_; }
  /// Handles the sockets with events, and the timer if it is due.
  void act(std::span<const pollfd> happened, Time now);

  /// Removes each finished transfer and calls f(easy, result) for it.
  template <class F>
  void finished(F f) {
    int left = 0;
    while (const CURLMsg* const message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      CURL* const easy = message->easy_handle;
      const CURLcode result = message->data.result;
      remove(easy);
      f(easy, result);
    }
  }

 private:
  struct Free {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
  };

  static int on_socket(CURL* easy, curl_socket_t socket, int what, void* loop, void* assigned);
  static int on_timer(CURLM* multi, long milliseconds, void* loop);

  std::vector<pollfd> sockets_;
  std::optional<Time> alarm_;
  std::unique_ptr<CURLM, Free> multi_;
};

}  // namespace sp2dpo::annotate
