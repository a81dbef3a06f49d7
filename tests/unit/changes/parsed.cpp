#include "tests/unit/changes/parsed.h"

namespace neptune {

ChangeFacts facts() {
  return {accepted_ms, [](std::string_view workspace) {
            if (workspace == "alone") return WorkspaceType::individual;
            return workspace == "ml-team" ? WorkspaceType::team : WorkspaceType::unknown;
          }};
}

std::expected<std::vector<Change>, Refusal> parse(std::string_view body, ChangesFormat format) {
  return parse_changes(body, format, facts());
}

Change accepted(std::string_view body) {
  auto changes = parse(body);
  if (!changes) {
    ADD_FAILURE() << body << " was refused: " << changes.error().code << ": " << changes.error().message;
    return {};
  }
  if (changes->size() != 1) {
    ADD_FAILURE() << changes->size() << " changes";
    return {};
  }
  return std::move(changes->front());
}

Refusal refused(std::string_view body, ChangesFormat format) {
  const auto changes = parse(body, format);
  if (changes) {
    ADD_FAILURE() << body.substr(0, 400) << " was accepted";
    return {};
  }
  const auto& refusal = changes.error();
  EXPECT_FALSE(refusal.code.empty());
  EXPECT_GT(refusal.message.size(), 20u);
  EXPECT_TRUE(refusal.message.ends_with(".") || refusal.message.ends_with("?")) << refusal.message;
  return refusal;
}

}  // namespace neptune
