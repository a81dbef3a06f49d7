#include "client/man/roff.h"

#include <algorithm>
#include <cctype>

namespace neptune::man {

namespace {

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

/// "Keeps it." reads "keeps it" behind the name.
std::string summary_of(std::string_view sentence) {
  std::string out(sentence.substr(0, sentence.find_last_not_of('.') + 1));
  if (!out.empty()) out[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(out[0])));
  return out;
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if (c == '\'')
      out += "\\(aq";
    else if (c == '"')
      out += "\\(dq";
    else if (c == '`')
      out += "\\(ga";
    else if (c == '~')
      out += "\\(ti";
    else if (c == '^')
      out += "\\(ha";
    else if (c == '\n')
      out += ' ';
    else
      out += c;
  }
  // A line that begins with a dot would be a request.
  return out.starts_with('.') ? "\\&" + out : out;
}

std::string bold(std::string_view text) {
  return "\\fB" + escaped(text) + "\\fR";
}

std::string italic(std::string_view text) {
  return "\\fI" + escaped(text) + "\\fR";
}

Roff::Roff(std::string_view name, std::string_view summary, const Page& page) {
  // No date: a page made twice of the same source is the same.
  out_ = ".TH \"" + escaped(upper(name)) + "\" " + page.number + " \"\" \"neptune\\-syncd " + escaped(page.version) +
         "\" \"neptune\\-syncd\"\n.\\\" Made from the program itself: change that.\n.nh\n.ad l\n";
  heading("NAME");
  line(escaped(name) + " \\- " + escaped(summary_of(summary)));
}

void Roff::heading(std::string_view title) {
  out_ += ".SH \"" + escaped(title) + "\"\n";
}

void Roff::subheading(const std::string& marked_up) {
  out_ += ".SS \"" + marked_up + "\"\n";
}

void Roff::line(const std::string& marked_up) {
  out_ += marked_up + "\n";
}

void Roff::text(std::string_view text) {
  line(escaped(text));
}

void Roff::paragraphs(std::string_view all) {
  for (bool first = true; !all.empty(); first = false) {
    const auto end = all.find("\n\n");
    if (!first) line(".PP");
    text(all.substr(0, end));
    all = end == std::string_view::npos ? std::string_view() : all.substr(end + 2);
  }
}

void Roff::entry(const std::vector<std::string>& marked_up, std::string_view of_all) {
  for (std::size_t i = 0; i < marked_up.size(); ++i) {
    line(i == 0 ? ".TP" : ".TQ");
    line(marked_up[i]);
  }
  // Without a text the next request would be taken for it.
  line(of_all.empty() ? "\\&" : escaped(of_all));
}

void Roff::section(const Section& section) {
  heading(section.title);
  paragraphs(section.text);
  for (const auto& [term, of_it] : section.entries) entry({bold(term)}, of_it);
}

void Roff::see_also(const std::vector<std::string>& pages) {
  if (pages.empty()) return;
  heading("SEE ALSO");
  std::string all;
  for (const auto& page : pages) {
    const auto name = page.substr(0, page.find('('));
    all += (all.empty() ? "" : ", ") + bold(name) + escaped(page.substr(name.size()));
  }
  line(all);
}

}  // namespace neptune::man
