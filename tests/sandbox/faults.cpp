#include "tests/sandbox/faults.h"

#include <algorithm>

namespace neptune::sandbox {

FaultEffect Faults::strike(const Request& request, const std::string& workspace, const std::string& project) {
  FaultEffect sum;
  bool struck = false;
  if (request.path.starts_with("/sandbox/")) return sum;
  for (auto& fault : faults_) {
    if (!request.path.starts_with(fault.path) || (!fault.method.empty() && fault.method != request.method)) continue;
    if ((!fault.workspace.empty() && fault.workspace != workspace) ||
        (!fault.project.empty() && fault.project != project))
      continue;
    const auto& effect = fault.effect;
    if (sum.replaces_answer() && effect.replaces_answer()) continue;
    if (fault.times && *fault.times == 0) continue;
    if (fault.probability < 1 && std::uniform_real_distribution<>(0, 1)(random_) >= fault.probability) continue;
    if (fault.skip > 0) {
      --fault.skip;
      continue;
    }
    if (fault.times) --*fault.times;
    struck = true;

    const auto delay = sum.delay + effect.delay;
    const auto slow = std::max(sum.read_bytes_per_second, effect.read_bytes_per_second);
    const auto late = std::max(sum.late, effect.late);
    if (effect.replaces_answer()) sum = effect;
    sum.late = late;
    sum.delay = delay;
    sum.read_bytes_per_second = slow;
  }
  if (struck) ++struck_;
  return sum;
}

}  // namespace neptune::sandbox
