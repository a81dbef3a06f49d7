#include "sources/source.h"

#include "sources/watch_folder.h"

namespace neptune::sources {

bool tell_the_same(const SourceInfo& a, const SourceInfo& b) {
  const auto code = [](const SourceInfo& info) { return info.problem ? info.problem->code : std::string(); };
  return a.key == b.key && a.state == b.state && a.container == b.container && a.order == b.order &&
         code(a) == code(b) && a.read_only == b.read_only && a.network == b.network && a.holders == b.holders &&
         a.server_id == b.server_id;
}

std::string why_closed(const ClosedDirectory& directory) {
  return "it belongs to " + directory.owner +
         ", and the daemon's user may not look into it, so that no log in it is seen; open it to the daemon (chmod -R "
         "a+rX, or an access list), and let its jobs run with umask 022";
}

}  // namespace neptune::sources
