#include "local_api/impl/peer.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "support/users.h"

namespace neptune::local_api {

namespace {

constexpr auto keep_for = std::chrono::seconds(10);
constexpr std::size_t keep_at_most = 256;
constexpr std::size_t max_entry_bytes = 1 << 20;  // a group's entry lists all of its members

std::optional<uid_t> user_id(const std::string& name) {
  for (std::size_t size = 4096; size <= max_entry_bytes; size *= 4) {
    std::vector<char> buffer(size);
    passwd entry{}, *found = nullptr;
    const int rc = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (rc == ERANGE) continue;
    return rc == 0 && found ? std::optional<uid_t>(entry.pw_uid) : std::nullopt;
  }
  return std::nullopt;
}

std::optional<gid_t> group_id(const std::string& name) {
  for (std::size_t size = 4096; size <= max_entry_bytes; size *= 4) {
    std::vector<char> buffer(size);
    group entry{}, *found = nullptr;
    const int rc = ::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (rc == ERANGE) continue;
    return rc == 0 && found ? std::optional<gid_t>(entry.gr_gid) : std::nullopt;
  }
  return std::nullopt;
}

bool belongs_to(const std::string& user, gid_t primary, gid_t wanted) {
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  if (::getgrouplist(user.c_str(), primary, groups.data(), &count) < 0) {
    groups.resize(static_cast<std::size_t>(std::max(count, 0)));
    if (::getgrouplist(user.c_str(), primary, groups.data(), &count) < 0) return false;
  }
  groups.resize(static_cast<std::size_t>(count));
  return std::find(groups.begin(), groups.end(), wanted) != groups.end();
}

std::set<std::string, std::less<>> allowed_in(uid_t uid, const AllowedUsers& allow_users) {
  std::set<std::string, std::less<>> workspaces;
  std::map<std::string, bool> is_peer;  // a name is looked up once, however many workspaces list it
  for (const auto& [workspace, users] : allow_users)
    for (const auto& user : users) {
      const auto known = is_peer.find(user);
      const bool same = known != is_peer.end() ? known->second : user_id(user) == uid;
      is_peer.emplace(user, same);
      if (same) workspaces.insert(workspace);
    }
  return workspaces;
}

Standing look_up(Peer peer, const std::string& group_name, const AllowedUsers& allow_users) {
  const auto name = user_name(peer.uid);
  Standing standing{peer.uid == 0 || peer.uid == ::geteuid(), name.value_or("uid " + std::to_string(peer.uid)), {}};
  if (standing.is_operator) return standing;
  const auto group = group_id(group_name);
  standing.is_operator = group && (peer.gid == *group || (name && belongs_to(*name, peer.gid, *group)));
  if (!standing.is_operator) standing.workspaces = allowed_in(peer.uid, allow_users);
  return standing;
}

}  // namespace

std::optional<Peer> peer_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  return Peer{credentials.uid, credentials.gid, credentials.pid};
}

Operators::Operators(const Clock& clock, std::string group, AllowedUsers allow_users)
    : clock_(clock), group_(std::move(group)), allow_users_(std::move(allow_users)) {}

boost::asio::awaitable<Standing> Operators::standing(Peer peer) {
  const std::pair key(peer.uid, peer.gid);
  const auto kept = kept_.find(key);
  if (kept != kept_.end() && clock_.now() < kept->second.until) co_return kept->second.standing;

  auto ask = [group = group_, allow_users = allow_users_, peer] { return look_up(peer, group, allow_users); };
  const Standing standing = co_await name_service_.run(std::move(ask));
  if (kept_.size() >= keep_at_most) kept_.clear();
  kept_.insert_or_assign(key, Kept{standing, clock_.now() + keep_for});
  co_return standing;
}

void Operators::set_allow_users(AllowedUsers allow_users) {
  allow_users_ = std::move(allow_users);
  kept_.clear();
}

}  // namespace neptune::local_api
