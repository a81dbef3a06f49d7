#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "client/man/page.h"

/// A page while it is being written: text goes in as it is and is escaped here.
namespace neptune::man {

std::string escaped(std::string_view text);
std::string bold(std::string_view text);
std::string italic(std::string_view text);

class Roff {
 public:
  Roff(std::string_view name, std::string_view summary, const Page& page);

  void heading(std::string_view title);
  void subheading(const std::string& marked_up);
  /// Paragraphs, with an empty line between two; line ends within one are spaces.
  void paragraphs(std::string_view text);
  /// Terms with one text for all of them.
  void entry(const std::vector<std::string>& marked_up, std::string_view text);
  void line(const std::string& marked_up);
  void section(const Section& section);
  void see_also(const std::vector<std::string>& pages);

  std::string take() { return std::move(out_); }

 private:
  void text(std::string_view text);
  std::string out_;
};

}  // namespace neptune::man
