// SPDX-License-Identifier: Apache-2.0
#include "curl_loop.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include <sp2dpo/error.hpp>

namespace sp2dpo::annotate {
namespace {

void require_ok(CURLMcode code) {
  if (code != CURLM_OK) throw Error(std::string("libcurl: ") + curl_multi_strerror(code));
}

}  // namespace

void init_curl() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) throw Error(std::string("libcurl: ") + curl_easy_strerror(code));
}

CurlLoop::CurlLoop(int connections) {
  init_curl();
  multi_.reset(curl_multi_init());
  if (!multi_) throw Error("libcurl: no memory");
  CURLM* const multi = multi_.get();
  require_ok(curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, &CurlLoop::on_socket));
  require_ok(curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this));
  require_ok(curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, &CurlLoop::on_timer));
  require_ok(curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this));
  require_ok(curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, static_cast<long>(connections)));
}

int CurlLoop::on_socket(CURL* /*easy*/, curl_socket_t socket, int what, void* loop,
                        void* /*assigned*/) {
  auto& sockets = static_cast<CurlLoop*>(loop)->sockets_;
  auto found = std::ranges::find(sockets, socket, &pollfd::fd);
  if (what == CURL_POLL_REMOVE) {
    if (found != sockets.end()) {
      *found = sockets.back();
      sockets.pop_back();
    }
    return 0;
  }
  if (found == sockets.end()) found = sockets.insert(found, pollfd{socket, 0, 0});
  found->events =
      static_cast<short>((what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0));
  return 0;
}

int CurlLoop::on_timer(CURLM* /*multi*/, long milliseconds, void* loop) {
  auto& alarm = static_cast<CurlLoop*>(loop)->alarm_;
  // libcurl rounds down. If it is called early, it finds nothing due and sets no new timer.
  if (milliseconds < 0)
    alarm.reset();
  else
    alarm = std::chrono::steady_clock::now() +
            std::chrono::milliseconds(milliseconds == 0 ? 0 : milliseconds + 1);
  return 0;
}

void CurlLoop::add(CURL* easy) {
  require_ok(curl_multi_add_handle(multi_.get(), easy));
}

void CurlLoop::remove(CURL* easy) {
  require_ok(curl_multi_remove_handle(multi_.get(), easy));
}

void CurlLoop::act(std::span<const pollfd> happened, Time now) {
  int running = 0;
  for (const auto& socket : happened) {
    if (socket.revents == 0) continue;
    const int what = (socket.revents & (POLLIN | POLLHUP) ? CURL_CSELECT_IN : 0) |
                     (socket.revents & POLLOUT ? CURL_CSELECT_OUT : 0) |
                     (socket.revents & (POLLERR | POLLNVAL) ? CURL_CSELECT_ERR : 0);
    require_ok(curl_multi_socket_action(multi_.get(), socket.fd, what, &running));
  }
  if (alarm_ && *alarm_ <= now) {
    alarm_.reset();
    require_ok(curl_multi_socket_action(multi_.get(), CURL_SOCKET_TIMEOUT, 0, &running));
  }
}

}  // namespace sp2dpo::annotate
