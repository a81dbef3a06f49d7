#include <cctype>

#include "client/man/page.h"
#include "client/man/roff.h"

namespace neptune::man {

namespace {

/// A comment, and what it is about.
struct Block {
  std::string comment;
  std::vector<std::string> about;  ///< "key = value", or one "[table]"
};

bool is_remark(std::string_view line) {
  return line == "#" || line.starts_with("# ");
}

std::vector<Block> blocks_of(std::string_view text) {
  std::vector<Block> blocks(1);
  while (!text.empty()) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.empty()) {
      blocks.emplace_back();
    } else if (is_remark(line)) {
      // A table goes on with the comment of its first key.
      if (!blocks.back().about.empty()) blocks.emplace_back();
      auto& comment = blocks.back().comment;
      if (!comment.empty()) comment += '\n';
      comment += line.substr(line == "#" ? 1 : 2);
    } else {
      if (line.starts_with('#')) line.remove_prefix(1);
      auto& about = blocks.back().about;
      if (!about.empty() && about.back().starts_with('[')) blocks.emplace_back();
      blocks.back().about.emplace_back(line);
    }
  }
  return blocks;
}

std::string term_of(const std::string& setting) {
  const auto equals = setting.find('=');
  return bold(setting.substr(0, setting.find(' '))) + " = " + escaped(setting.substr(equals + 2));
}

}  // namespace

std::string config_manual(std::string_view name, std::string_view example, const Page& page) {
  const auto blocks = blocks_of(example);
  Roff roff(name, "configuration of neptune-syncd", page);
  roff.heading("DESCRIPTION");
  roff.paragraphs(blocks.front().comment);
  roff.heading("KEYS");
  for (const auto& [comment, about] : blocks) {
    if (about.empty()) continue;
    if (about.front().starts_with('[')) {
      roff.subheading(bold(about.front()));
      roff.paragraphs(comment);
      continue;
    }
    std::vector<std::string> terms;
    for (const auto& setting : about) terms.push_back(term_of(setting));
    roff.entry(terms, comment);
  }
  for (const auto& section : page.sections) roff.section(section);
  roff.see_also(page.see_also);
  return roff.take();
}

}  // namespace neptune::man
