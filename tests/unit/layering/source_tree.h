#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace neptune::layering {

/// One file of the source tree.
struct SourceFile {
  std::string path;  ///< below the root: "daemon/core/gate.cpp"
  std::string text;

  std::size_t line_at(std::size_t offset) const;
};

/// The files below these folders of the source tree whose names end in one of `endings`, sorted. Not the samples in
/// tests/data, which come from elsewhere.
std::vector<SourceFile> files_below(const std::vector<std::string>& folders, const std::vector<std::string>& endings);

SourceFile read_source(const std::string& path);

/// The same text with blanks for comments and for what stands in literals, so that only code is left; every offset and
/// line stays where it was.
std::string code_of(std::string_view text);

struct Include {
  std::string path;  ///< what stands between the quotes
  std::size_t line;
};

/// The quoted includes of a file.
std::vector<Include> quoted_includes(const SourceFile& file);

}  // namespace neptune::layering
