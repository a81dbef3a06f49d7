#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "client/man/command_tree.h"

/// Manual pages, as man(7) reads them.
namespace neptune::man {

struct Entry {
  std::string term, text;
};

/// What a page says besides its commands and options.
struct Section {
  std::string title;
  std::string text{};  ///< paragraphs, with an empty line between two
  std::vector<Entry> entries{};
};

struct Page {
  std::string number;   ///< "1": user commands, "5": file formats, "8": of the administrator
  std::string version;  ///< the program's
  std::vector<Section> sections;
  std::vector<std::string> see_also;  ///< "neptune-syncd(8)"
};

/// The page of a program and all its verbs. Its description is one sentence.
std::string manual(const Command& program, const Page& page);

/// The page of a configuration file, from an example of it: lines of comment, then the keys or the table they are about
/// ("key = value" and "[table]", or with "#" right before them); an empty line ends each. The comment at the very
/// beginning says what the file is.
std::string config_manual(std::string_view name, std::string_view example, const Page& page);

}  // namespace neptune::man
