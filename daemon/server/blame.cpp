#include <algorithm>
#include <map>
#include <string_view>

#include "server/impl/attributes.h"

namespace neptune::server {

namespace {

// The loop must not stand still over an answer that is all errors.
constexpr std::size_t most_comparisons = 100'000;

bool is_part_of_a_path(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '/' || static_cast<unsigned char>(c) >= 0x80;
}

/// The whole path, not a part of a longer one.
bool names(std::string_view words, std::string_view path) {
  for (auto at = words.find(path); at != std::string_view::npos; at = words.find(path, at + 1)) {
    const auto end = at + path.size();
    const bool begins = at == 0 || !is_part_of_a_path(words[at - 1]);
    const bool ends = end == words.size() || !is_part_of_a_path(words[end]);
    if (begins && ends) return true;
  }
  return false;
}

using ByPath = std::map<std::string_view, std::vector<std::size_t>>;

/// The longest path that the words name; empty when they name none.
std::string_view path_in(std::string_view words, const ByPath& operations) {
  std::string_view best;
  for (const auto& [path, indices] : operations)
    if (path.size() > best.size() && names(words, path)) best = path;
  return best;
}

void assign_by_path(const ByPath& operations, std::vector<OperationError>& errors) {
  ByPath errors_of;
  for (std::size_t i = 0; i < errors.size(); ++i)
    if (const auto path = path_in(errors[i].message, operations); !path.empty()) errors_of[path].push_back(i);
  for (const auto& [path, which] : errors_of) {
    const auto& indices = operations.at(path);
    // Fewer: which of them it was, nobody knows.
    if (which.size() != indices.size()) continue;
    for (std::size_t i = 0; i < which.size(); ++i) errors[which[i]].index = indices[i];
  }
}

/// When all have failed, only whose words are whose is open.
void assign_the_rest(std::vector<OperationError>& errors) {
  std::vector<bool> taken(errors.size());
  for (const auto& error : errors)
    if (error.index) taken[*error.index] = true;
  std::size_t next = 0;
  for (auto& error : errors) {
    if (error.index) continue;
    while (taken[next]) ++next;
    error.index = next++;
  }
}

}  // namespace

std::vector<OperationError> blame(const std::vector<AttributeOperation>& operations,
                                  std::vector<OperationError> errors) {
  ByPath by_path;
  for (std::size_t i = 0; i < operations.size(); ++i)
    if (!operations[i].path.empty()) by_path[operations[i].path].push_back(i);
  if (errors.size() * by_path.size() <= most_comparisons) assign_by_path(by_path, errors);
  if (errors.size() == operations.size()) assign_the_rest(errors);
  return errors;
}

}  // namespace neptune::server
