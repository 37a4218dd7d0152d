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
using Form = std::unique_ptr<curl_mime, FreeCurl>;

/// curl_global_init, once in a program.
void init_curl();

/// The transfers of one endpoint. Its sockets are told to whoever waits for them, so that one
/// thread can wait for several of these loops, which curl_multi_poll cannot.
class CurlLoop {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// Keeps so many connections open.
  explicit CurlLoop(int connections);

  void add(CURL* easy);
  void remove(CURL* easy);

  /// What curl waits for.
  [[nodiscard]] const std::vector<pollfd>& sockets() const noexcept { return sockets_; }
  /// When it wants to be called in any case.
  [[nodiscard]] std::optional<Time> alarm() const noexcept { return alarm_; }
  /// Goes on with the sockets on which something happened, and with what is due.
  void act(std::span<const pollfd> happened, Time now);

  /// Calls f(easy, result) for each transfer that came to its end, having removed it.
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
