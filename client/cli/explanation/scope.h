#pragma once

#include <string>
#include <vector>

#include "client/cli/explanation.h"
#include "client/cli/explanation/stream.h"
#include "client/lib/types.h"

/// A workspace or a project, by its full name.
namespace neptune::cli {

/// How it stands. `above`: of a project, its workspace, whose mode is its own too.
Explanation explain_scope(const api::ScopeStatus& scope, std::string subject, const std::string& name,
                          const api::ScopeStatus* above, Time now);
/// What its streams wait for, once a reason: the words of the largest stand for all. What is lost is told by itself.
std::vector<Explanation> explain_streams_of(const std::string& name, const std::vector<api::Stream>& streams,
                                            const StreamExplainer& explainer);

}  // namespace neptune::cli
