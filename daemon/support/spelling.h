#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

/// What a mistyped word was most likely meant to be.
namespace neptune {

/// How many letters must be put in, taken out or replaced to get from one to the other; two neighbours that changed
/// places count once. The work grows with the product of the lengths.
inline std::size_t edits_between(std::string_view from, std::string_view to) {
  std::vector<std::size_t> before(to.size() + 1), row(to.size() + 1), next(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= from.size(); ++i) {
    next[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      next[j] = std::min({row[j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1), next[j - 1] + 1, row[j] + 1});
      if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
        next[j] = std::min(next[j], before[j - 2] + 1);
    }
    before.swap(row);
    row.swap(next);
  }
  return row.back();
}

/// The closest of `known`; one that `word` is the beginning of, or the last part of after a slash, is nearer than its
/// length says. Empty when none comes near.
inline std::string closest(std::string_view word, const std::vector<std::string>& known) {
  constexpr std::size_t longest = 64, beginning = 3;
  std::string best;
  if (word.size() > longest) return best;
  auto fewest = std::max<std::size_t>(1, (word.size() + 1) / 3) + 1;
  for (const auto& each : known) {
    if (each == word) return each;
    const bool is_part =
        word.size() >= beginning && (each.starts_with(word) || (each.ends_with(word) && each.size() > word.size() &&
                                                                each[each.size() - word.size() - 1] == '/'));
    const auto edits = is_part ? 0 : edits_between(word, each);
    if (edits >= fewest) continue;
    best = each;
    fewest = edits;
  }
  return best;
}

}  // namespace neptune
