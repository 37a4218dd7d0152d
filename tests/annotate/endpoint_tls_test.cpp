// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "certificates.hpp"
#include "fake_provider.hpp"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <sp2dpo/annotate/endpoint.hpp>

namespace sp2dpo::annotate {
namespace {

using std::chrono::milliseconds;
using test::Certificate;
using test::FakeProvider;
using test::make_certificate;
using testing::HasSubstr;
using Kind = ChatReply::Kind;

class Tls : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("sp2dpo_tls_test_{}", getpid());
    std::filesystem::create_directories(folder_);
    authority_.emplace(make_certificate(folder_, "authority", "", nullptr));
    setenv("SP2DPO_TEST_KEY", "sk-test-secret", 1);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static test::FakeOptions with(const Certificate& certificate) {
    return {.certificate = certificate.file, .private_key = certificate.key_file};
  }

  EndpointOptions options(const FakeProvider& provider) const {
    return {.base_url = provider.base_url(),
            .key_variable = "SP2DPO_TEST_KEY",
            .ca_file = authority_->file,
            .backoff = milliseconds(4)};
  }

  /// Asks twice and expects no reply and no key on the wire.
  static void expect_refused(const FakeProvider& provider, EndpointOptions options) {
    Endpoint endpoint(std::move(options));
    const ChatReply reply = endpoint.ask({.body = "{}"});
    EXPECT_EQ(reply.kind, Kind::transport);
    EXPECT_EQ(reply.attempts, 1);
    EXPECT_THAT(reply.detail, HasSubstr("certificate"));
    EXPECT_EQ(endpoint.stopped(), reply.detail);
    EXPECT_EQ(endpoint.ask({.body = "{}"}).attempts, 0);
    EXPECT_EQ(endpoint.call({.method = "GET", .path = "/models"}).kind, Kind::transport);
    EXPECT_EQ(provider.heads(), "");
  }

  std::filesystem::path folder_;
  std::optional<Certificate> authority_;
};

TEST_F(Tls, AcceptsAPrivateAuthorityNamedInTheOptions) {
  const FakeProvider provider(
      with(make_certificate(folder_, "server", "IP:127.0.0.1", &*authority_)));
  Endpoint endpoint(options(provider));
  std::vector<Kind> kinds;
  for (int i = 0; i < 300; ++i)
    endpoint.submit(
        {.body = fmt::format(R"({{"model":"m","messages":[],"n":{}}})", i)},
        [&](const ChatRequest&, const ChatReply& reply) { kinds.push_back(reply.kind); });
  while (endpoint.unfinished() > 0) endpoint.poll(milliseconds(1000));
  EXPECT_EQ(kinds, std::vector<Kind>(300, Kind::answered));
  EXPECT_LE(provider.counts().connections, 32);
}

TEST_F(Tls, RefusesAnUnknownAuthority) {
  const FakeProvider provider(
      with(make_certificate(folder_, "server", "IP:127.0.0.1", &*authority_)));
  EndpointOptions without = options(provider);
  without.ca_file.clear();
  expect_refused(provider, without);
}

TEST_F(Tls, RefusesASelfSignedCertificate) {
  const FakeProvider provider(with(make_certificate(folder_, "self", "IP:127.0.0.1", nullptr)));
  expect_refused(provider, options(provider));
}

TEST_F(Tls, RefusesACertificateOfAnotherHost) {
  const FakeProvider provider(
      with(make_certificate(folder_, "other", "DNS:api.example.com", &*authority_)));
  EndpointOptions by_address = options(provider);
  Endpoint endpoint(by_address);
  const ChatReply reply = endpoint.ask({.body = "{}"});
  EXPECT_EQ(reply.kind, Kind::transport);
  EXPECT_THAT(endpoint.stopped(), HasSubstr("127.0.0.1"));
  EXPECT_EQ(provider.heads(), "");
}

TEST_F(Tls, RefusesAnExpiredCertificate) {
  const FakeProvider provider(
      with(make_certificate(folder_, "old", "IP:127.0.0.1", &*authority_, -1)));
  expect_refused(provider, options(provider));
}

TEST_F(Tls, RetriesConnectionFaultsAsWithoutTls) {
  auto fake = with(make_certificate(folder_, "server", "IP:127.0.0.1", &*authority_));
  fake.plan = test::mixed_faults(0.4, 5);
  const FakeProvider provider(fake);
  EndpointOptions quick = options(provider);
  quick.max_backoff = milliseconds(20);
  Endpoint endpoint(quick);
  int answered = 0;
  for (int i = 0; i < 300; ++i)
    endpoint.submit({.body = fmt::format(R"({{"model":"m","messages":[],"n":{}}})", i)},
                    [&](const ChatRequest&, const ChatReply& reply) {
                      answered += reply.kind == Kind::answered ? 1 : 0;
                    });
  while (endpoint.unfinished() > 0) endpoint.poll(milliseconds(1000));
  EXPECT_EQ(answered, 300);
  EXPECT_EQ(provider.counts().asked_again, 0);
}

}  // namespace
}  // namespace sp2dpo::annotate
