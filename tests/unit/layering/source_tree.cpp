#include "tests/unit/layering/source_tree.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace neptune::layering {
namespace {

const std::filesystem::path kRoot = SOURCE_DIR;

/// The offset past a literal or comment that begins at `at`; `at` itself when none does.
std::size_t past_opaque(std::string_view text, std::size_t at) {
  const auto end_of = [&](std::string_view closing, std::size_t from) {
    const auto end = text.find(closing, from);
    return end == std::string_view::npos ? text.size() : end + closing.size();
  };
  const auto rest = text.substr(at);
  if (rest.starts_with("//")) return std::min(text.find('\n', at), text.size());
  if (rest.starts_with("/*")) return end_of("*/", at + 2);
  if (rest.starts_with("R\"")) {
    const auto bracket = text.find('(', at);
    if (bracket == std::string_view::npos) return text.size();
    return end_of(")" + std::string(text.substr(at + 2, bracket - at - 2)) + "\"", bracket);
  }
  const bool separator = text[at] == '\'' && at > 0 && std::isalnum(static_cast<unsigned char>(text[at - 1]));
  if ((text[at] != '"' && text[at] != '\'') || separator) return at;
  auto end = at + 1;
  while (end < text.size() && text[end] != text[at] && text[end] != '\n') end += text[end] == '\\' ? 2 : 1;
  return std::min(end + 1, text.size());
}

}  // namespace

std::size_t SourceFile::line_at(std::size_t offset) const {
  const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(offset, text.size()));
  return 1 + static_cast<std::size_t>(std::count(text.begin(), end, '\n'));
}

SourceFile read_source(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(kRoot / path, std::ios::binary).rdbuf();
  return {path, text.str()};
}

std::vector<SourceFile> files_below(const std::vector<std::string>& folders, const std::vector<std::string>& endings) {
  std::vector<SourceFile> files;
  for (const auto& folder : folders)
    for (const auto& entry : std::filesystem::recursive_directory_iterator(kRoot / folder)) {
      const auto path = std::filesystem::relative(entry.path(), kRoot).native();
      const auto ends = [&path](const std::string& ending) { return path.ends_with(ending); };
      if (entry.is_regular_file() && !path.starts_with("tests/data/") && std::ranges::any_of(endings, ends))
        files.push_back(read_source(path));
    }
  std::ranges::sort(files, {}, &SourceFile::path);
  return files;
}

std::string code_of(std::string_view text) {
  std::string code(text);
  for (std::size_t at = 0; at < text.size();) {
    const auto end = past_opaque(text, at);
    for (auto i = at; i < end; ++i)
      if (code[i] != '\n') code[i] = ' ';
    at = std::max(end, at + 1);
  }
  return code;
}

std::vector<Include> quoted_includes(const SourceFile& file) {
  constexpr std::string_view kBegins = "#include \"";
  std::vector<Include> includes;
  std::istringstream lines(file.text);
  std::string line;
  for (std::size_t number = 1; std::getline(lines, line); ++number)
    if (line.starts_with(kBegins))
      includes.push_back({line.substr(kBegins.size(), line.find('"', kBegins.size()) - kBegins.size()), number});
  return includes;
}

}  // namespace neptune::layering
