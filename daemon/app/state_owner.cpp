#include "app/state_owner.h"

#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "support/try.h"
#include "support/users.h"

namespace neptune::app {

namespace fs = std::filesystem;

namespace {

/// Those of the user, as when the daemon is started as that user.
int take_groups_of(uid_t uid, gid_t gid) {
  const auto name = user_name(uid);
  return name ? ::initgroups(name->c_str(), gid) : ::setgroups(0, nullptr);
}

}  // namespace

Result<void> act_as_owner_of(const fs::path& directory) {
  struct stat data{};
  if (::geteuid() != 0 || ::stat(directory.c_str(), &data) != 0 || data.st_uid == 0) return {};
  if (take_groups_of(data.st_uid, data.st_gid) == 0 && ::setresgid(data.st_gid, data.st_gid, data.st_gid) == 0 &&
      ::setresuid(data.st_uid, data.st_uid, data.st_uid) == 0)
    return {};
  return fail("not_permitted", fmt::format("this process cannot act as the owner of {} ({}); run it as that user",
                                           directory.string(), std::strerror(errno)));
}

Result<StateDir> claim(const fs::path& directory) {
  NEPTUNE_TRY(act_as_owner_of(directory));
  auto claimed = StateDir::open(directory);
  if (!claimed && claimed.error().code == "state_dir_in_use")
    return fail("state_dir_in_use", fmt::format("a neptune-syncd runs on {}: stop it first (`systemctl stop "
                                                "neptune-syncd.socket neptune-syncd`; Ctrl-C or `kill` for one that "
                                                "was started by hand), and start it again after this",
                                                directory.string()));
  return claimed;
}

}  // namespace neptune::app
