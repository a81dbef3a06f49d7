#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "changes/change_json.h"

/// What the tests of changes share: reading a body, with what is known of the world.
namespace neptune {

inline constexpr std::int64_t accepted_ms = 1'767'323'045'678;  ///< 2026-01-02T03:04:05.678Z

/// "alone" is an individual's workspace, "ml-team" a team's; nothing is known of others.
ChangeFacts facts();

std::expected<std::vector<Change>, Refusal> parse(std::string_view body, ChangesFormat format = ChangesFormat::json);

/// The one change of a body that must be accepted.
Change accepted(std::string_view body);

/// The refusal of a body that must be refused; checks that its message is a sentence.
Refusal refused(std::string_view body, ChangesFormat format = ChangesFormat::json);

const ProjectName lab{"ml-team", "lab"};
const ContainerName management{lab, "", ContainerKind::management};
const ContainerName removals{lab, "", ContainerKind::removals};
const ContainerName waiting{lab, std::string(removals_that_wait), ContainerKind::removals};
const ContainerName jo{lab, "member jo", ContainerKind::management};
const ContainerName bot{lab, "service account bot", ContainerKind::management};

inline ContainerName files(std::string id) {
  return {lab, std::move(id), ContainerKind::files};
}
inline ContainerName run(std::string id) {
  return {lab, std::move(id), ContainerKind::run};
}

inline ContainerName model(std::string id) {
  return {lab, std::move(id), ContainerKind::model};
}

}  // namespace neptune
