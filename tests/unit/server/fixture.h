#pragma once

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "server/server.h"
#include "support/clock.h"
#include "tests/unit/server/scripted_peer.h"

namespace neptune::server::test {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// Stands still until a test moves it.
class TestClock final : public Clock {
 public:
  Instant now() const override { return now_; }
  WallTime wall() const override { return wall_; }
  void advance(Duration by) {
    now_ += by;
    wall_ += std::chrono::duration_cast<WallTime::duration>(by);
  }

 private:
  Instant now_ = Instant(1000h);
  WallTime wall_ = from_unix_ms(1'767'323'045'000);
};

/// One loop for the caller and its peers. What a test declares must be declared after the fixture's loop, so that the
/// loop goes last.
class OnALoop : public ::testing::Test {
 protected:
  /// A coroutine that was started and may end later.
  template <class T>
  struct Started {
    std::optional<T> value;
    std::exception_ptr error;
    bool ended = false;
    asio::cancellation_signal cancel;
  };

  template <class T>
  std::shared_ptr<Started<T>> start(asio::awaitable<T> task) {
    auto started = std::make_shared<Started<T>>();
    asio::co_spawn(loop, std::move(task),
                   asio::bind_cancellation_slot(started->cancel.slot(), [started](std::exception_ptr error, T value) {
                     started->error = error;
                     if (!error) started->value = std::move(value);
                     started->ended = true;
                   }));
    return started;
  }

  /// Runs the loop until `done`; a failure when that takes suspiciously long.
  void run_until(const std::function<bool()>& done) {
    const auto patience = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), patience) << "nothing comes to an end";
      loop.restart();
      loop.run_one_for(100ms);
    }
  }

  /// Runs one coroutine to its end.
  template <class T>
  T run(asio::awaitable<T> task) {
    auto started = start(std::move(task));
    run_until([&] { return started->ended; });
    if (started->error) std::rethrow_exception(started->error);
    if (!started->value) throw std::runtime_error("the coroutine did not end");
    return std::move(*started->value);
  }

  asio::io_context loop;
  TestClock clock;
};

std::string make_jwt(std::string_view payload);

/// The answers of a Neptune server that is well, with places to put trouble in.
struct FakeNeptune {
  explicit FakeNeptune(const Clock& with) : clock(with) {}

  const Clock& clock;
  std::string base;  ///< set once the peer's port is known
  std::chrono::seconds lifetime{300};
  bool with_issued_at = true;
  int configs = 0, discoveries = 0, exchanges = 0, refreshes = 0;
  std::string valid;                                            ///< the access token given out last
  std::function<std::optional<Reply>(const Received&)> meddle;  ///< goes before everything
  std::function<Reply(const Received&)> call;                   ///< everything that is not authentication

  Reply operator()(const Received& request);
  std::string api_token() const;

 private:
  std::string next_token();
};

/// A fixture with a server object that talks to a FakeNeptune.
class WithNeptune : public OnALoop {
 protected:
  WithNeptune();
  std::unique_ptr<Server> make_server(std::function<void(Options&)> change = {});
  int calls_to(std::string_view path) const;

  FakeNeptune neptune;
  ScriptedPeer peer;
};

inline Body in_memory(std::string bytes) {
  return Body{std::move(bytes), 0, {}};
}

/// A body of `pieces`, which promises `promised` bytes of them.
Body streamed(std::string head, std::vector<std::string> pieces, std::optional<std::uint64_t> promised = {});

/// A SubmitResponse with one id.
std::string submitted(std::string_view id);

}  // namespace neptune::server::test
