#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <optional>
#include <utility>

#include "engine/engine.h"
#include "engine/impl/with_ledger.h"

namespace neptune::engine {

/// Progress of one file, in the ledger. `goes_on` is asked after each part: one that was sent while the gate closed, or
/// another file's turn came, is kept, and is the last; the upload then ends as `later` with the code "upload_halted".
class Engine::LedgerProgress final : public server::ProgressStore {
 public:
  /// `begun`: something of it may be kept.
  LedgerProgress(Engine& engine, Ledger::UploadOf which, bool begun, std::function<bool()> goes_on)
      : engine_(engine), which_(which), begun_(begun), goes_on_(std::move(goes_on)) {}

  boost::asio::awaitable<Result<std::optional<server::UploadProgress>>> load() override {
    if (!begun_) co_return std::nullopt;
    auto read = [which = which_](Ledger& ledger) { return ledger.upload(which); };
    co_return co_await engine_.with_ledger(std::move(read));
  }
  boost::asio::awaitable<Result<void>> save(server::UploadProgress progress) override {
    auto write = [which = which_, progress = std::move(progress)](Ledger& ledger) {
      return ledger.save_upload(which, progress);
    };
    co_return co_await engine_.with_ledger(std::move(write));
  }
  boost::asio::awaitable<Result<void>> add(server::FinishedPart part) override {
    auto write = [which = which_, part = std::move(part)](Ledger& ledger) { return ledger.add_part(which, part); };
    co_return co_await engine_.with_ledger(std::move(write));
  }
  Result<void> may_go_on() override {
    if (!goes_on_()) return fail("upload_halted", "it goes on later from where it is", true);
    return {};
  }
  boost::asio::awaitable<Result<void>> clear() override {
    auto write = [which = which_](Ledger& ledger) { return ledger.clear_upload(which); };
    co_return co_await engine_.with_ledger(std::move(write));
  }

 private:
  Engine& engine_;
  Ledger::UploadOf which_;
  bool begun_;
  std::function<bool()> goes_on_;
};

}  // namespace neptune::engine
