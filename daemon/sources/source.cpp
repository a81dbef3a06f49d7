#include "sources/source.h"

namespace neptune::sources {

bool tell_the_same(const SourceInfo& a, const SourceInfo& b) {
  const auto code = [](const SourceInfo& info) { return info.problem ? info.problem->code : std::string(); };
  return a.key == b.key && a.state == b.state && a.container == b.container && a.order == b.order &&
         code(a) == code(b) && a.read_only == b.read_only && a.network == b.network && a.holders == b.holders &&
         a.server_id == b.server_id;
}

}  // namespace neptune::sources
