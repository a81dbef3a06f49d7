#pragma once

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/bandwidth.h"
#include "support/worker_pool.h"
#include "tests/integration/support/sandbox.h"
#include "tests/integration/support/temp_dir.h"
#include "tests/unit/server/fixture.h"

namespace neptune::server::test {

/// Progress that outlives the uploads of a test, as one on disk would.
class KeptProgress final : public ProgressStore {
 public:
  asio::awaitable<Result<std::optional<UploadProgress>>> load() override { co_return kept; }
  asio::awaitable<Result<void>> save(UploadProgress progress) override {
    ++saves;
    if (broken) co_return fail("disk_full", "the disk is full");
    kept = std::move(progress);
    co_return Result<void>();
  }
  asio::awaitable<Result<void>> add(FinishedPart part) override {
    if (broken) co_return fail("disk_full", "the disk is full");
    if (auto* until = std::exchange(fails_when_over, nullptr)) {
      boost::system::error_code ignored;
      co_await until->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      co_return fail("disk_full", "the disk is full");
    }
    if (kept) kept->finished.push_back(std::move(part));
    co_return Result<void>();
  }
  asio::awaitable<Result<void>> clear() override {
    kept.reset();
    co_return Result<void>();
  }

  Result<void> may_go_on() override { return halted ? fail("upload_halted", "it is held", true) : Result<void>(); }

  std::optional<UploadProgress> kept;
  bool halted = false;
  asio::steady_timer* fails_when_over = nullptr;  ///< the next part cannot be kept, which shows then
  int saves = 0;
  bool broken = false;
};

/// A sandbox, a Server of it, and files to upload.
class WithSandbox : public OnALoop {
 protected:
  WithSandbox();
  ~WithSandbox() override;

  void restart_server();
  boost::json::value uploads() const { return sandbox.state("summary=1").at("uploads"); }
  std::int64_t received() const { return uploads().at("received_bytes").as_int64(); }

  /// A file of the folder; its bytes are told by `seed`.
  SourceFile make_file(const std::string& name, std::size_t size, unsigned seed = 1);
  std::string bytes_of(const SourceFile& file) const;
  /// "" when the sandbox has these bytes under "ml-team/lab/<path>", else what it has.
  std::string stored_differs(const std::string& path, const SourceFile& file, const std::string& type) const;

  testing::TempDir folder;
  testing::Sandbox sandbox;
  SystemClock system_clock;
  WorkerPool pool{2};
  UploadSettings settings;
  KeptProgress progress;
  std::uint64_t shown = 0;  ///< by the progress callback
  std::unique_ptr<Server> server;
};

/// What the process holds in memory now, in KiB.
std::int64_t resident_kib();

std::string shown_outcome(const UploadOutcome& outcome);

}  // namespace neptune::server::test
