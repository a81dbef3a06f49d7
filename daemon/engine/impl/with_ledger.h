#pragma once

#include <spdlog/spdlog.h>

#include <memory>
#include <type_traits>

#include "engine/engine.h"
#include "engine/impl/outcome.h"

namespace neptune::engine {

/// Runs `f` on the ledger's thread, in the order of the calls. When the disk is full it is tried once more with the
/// reserve given back; the reserve is made again with the first call that finds room for it.
template <class F>
auto Engine::with_ledger(F f) -> awaitable<std::invoke_result_t<F&, Ledger&>> {
  const auto full = std::make_shared<bool>(disk_full_);
  auto work = [this, f, full]() mutable {
    auto result = f(*ledger_);
    if (!result && result.error().code == "sqlite_full") {
      *full = true;
      if (state_dir_.release_reserve()) result = f(*ledger_);
    } else if (*full) {
      *full = !state_dir_.restore_reserve();
    }
    return result;
  };
  auto result = co_await outcome(ledger_thread_.run(std::move(work)));
  if (*full != disk_full_) {
    disk_full_ = *full;
    if (disk_full_) {
      spdlog::error("disk full state_dir={}; the reserve was given back", state_dir_.path().string());
      events_.add("disk_full", "the disk of " + state_dir_.path().string() + " is full; free some space there");
    } else {
      spdlog::info("disk has room again state_dir={}", state_dir_.path().string());
      events_.add("disk_has_room", "the disk of " + state_dir_.path().string() + " has room again");
    }
  }
  co_return result;
}

}  // namespace neptune::engine
