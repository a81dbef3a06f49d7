#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "app/app.h"
#include "client/lib/types.h"
#include "config/config.h"

namespace neptune::app {

/// What was found, and what is to be seen to before it is as it was meant.
struct Report {
  std::string headline;
  std::vector<api::Check> checks;
  std::optional<Error> error;  ///< the last of them failed for it

  std::ptrdiff_t count(std::string_view state) const { return std::ranges::count(checks, state, &api::Check::state); }
  void found(std::string what) { checks.push_back({"config", "ok", std::move(what), {}}); }
  void warn(std::string what) { checks.push_back({"config", "warn", std::move(what), {}}); }
  void fail(std::string_view check, Error why) {
    checks.push_back({std::string(check), "fail", why.message, {}});
    error = std::move(why);
  }
};

/// The file alone, or what a daemon has from it as well: its state directory, tokens and folders.
enum class LookAt : std::uint8_t { the_file, what_it_names_too };

Report look_at_config(const Flags& flags, const Result<config::Config>& config, LookAt what);
std::vector<api::Check> as_checks(Report report);

// What keeps a daemon of the caller's from what the configuration names: a sentence without its end, in which the
// caller is called `who`. Empty: nothing does. They block.

/// From using it, or making it where it is not there.
std::string trouble_of_state_dir(const std::filesystem::path& dir, std::string_view who = "you");
/// From reading it. What it is was looked at with the configuration. Of none there is nothing to say.
std::string trouble_of_ca_file(const std::string& file, std::string_view who = "you");

/// The directory, or the nearest one above it that is there. On an error, how far one can look.
std::filesystem::path nearest_there(std::filesystem::path dir, std::error_code& error);

/// A sentence without its end. `workspace`: whose token it is, when that has one of its own.
std::string found_token(const std::string& origin, const std::string& server, const std::string& workspace);

}  // namespace neptune::app
