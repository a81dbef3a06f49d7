#include <algorithm>
#include <map>
#include <set>
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

using ByPath = std::map<std::string_view, std::vector<std::size_t>>;

struct Place {
  std::size_t from, upto;
  const ByPath::value_type* path;

  bool is_within(const Place& other) const {
    return from >= other.from && upto <= other.upto && upto - from < other.upto - other.from;
  }
};

/// Where the words name a path, from `from` on: the whole of it, not a part of a longer word.
std::size_t find_path(std::string_view words, std::string_view path, std::size_t from = 0) {
  for (auto at = words.find(path, from); at != std::string_view::npos; at = words.find(path, at + 1)) {
    const auto end = at + path.size();
    const bool begins = at == 0 || !is_part_of_a_path(words[at - 1]);
    const bool ends = end == words.size() || !is_part_of_a_path(words[end]);
    if (begins && ends) return at;
  }
  return std::string_view::npos;
}

void add_places(std::vector<Place>& places, std::string_view words, const ByPath::value_type& path) {
  for (auto at = find_path(words, path.first); at != std::string_view::npos; at = find_path(words, path.first, at + 1))
    places.push_back({at, at + path.first.size(), &path});
}

/// The paths that the words name, but not within a longer one.
std::set<const ByPath::value_type*> named_in(std::string_view words, const ByPath& operations) {
  std::vector<Place> places;
  for (const auto& path : operations) add_places(places, words, path);
  std::set<const ByPath::value_type*> named;
  for (const auto& place : places) {
    const auto within = [&place](const Place& other) { return place.is_within(other); };
    if (std::ranges::none_of(places, within)) named.insert(place.path);
  }
  return named;
}

void assign_by_path(const ByPath& operations, std::vector<OperationError>& errors) {
  std::map<const ByPath::value_type*, std::vector<std::size_t>> errors_of;
  for (std::size_t i = 0; i < errors.size(); ++i) {
    const auto named = named_in(errors[i].message, operations);
    for (const auto* path : named)
      errors[i].may_be.insert(errors[i].may_be.end(), path->second.begin(), path->second.end());
    std::ranges::sort(errors[i].may_be);
    // An attribute may well have the name of a word in the sentence on another one.
    if (named.size() == 1) errors_of[*named.begin()].push_back(i);
  }
  for (const auto& [path, which] : errors_of) {
    const auto& indices = path->second;
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
  for (auto& error : errors) {
    if (!error.index) continue;
    error.may_be.clear();
    const auto& path = operations[*error.index].path;
    if (find_path(error.message, path) == std::string_view::npos) error.message = path + ": " + error.message;
  }
  return errors;
}

}  // namespace neptune::server
