#include "client/cli/table.h"

#include <algorithm>
#include <numeric>

namespace neptune::cli {

namespace {

constexpr std::string_view gap = "  ", note_indent = "    ";
constexpr std::size_t narrowest = 8, good_name = 16, few_words = 28;

constexpr std::size_t left_out = 0;  // no column that is shown is that narrow: each has a title

std::size_t total(const std::vector<std::size_t>& widths) {
  const auto shown = widths.size() - static_cast<std::size_t>(std::ranges::count(widths, left_out));
  return std::accumulate(widths.begin(), widths.end(), std::size_t{0}) + gap.size() * (shown - 1);
}

}  // namespace

void Table::add(std::vector<Cell> cells, std::string note) {
  cells.resize(columns_.size());
  for (auto& cell : cells) cell.text = clean(cell.text);
  rows_.push_back({std::move(cells), clean(note)});
}

std::size_t Table::least_of(const Column& column, bool well_readable) const {
  if (!well_readable) return narrowest;
  return column.prose ? few_words : good_name;
}

/// Nothing but "-", or nothing at all.
bool Table::is_empty(std::size_t column) const {
  return std::ranges::all_of(rows_, [column](const Row& row) {
    const auto& text = row.cells[column].text;
    return text.empty() || text == "-";
  });
}

std::vector<std::size_t> Table::cut_to(std::size_t width, std::vector<std::size_t> widths, bool well_readable) const {
  while (total(widths) > width) {
    std::size_t widest = columns_.size();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const bool may = columns_[i].shrink && widths[i] > least_of(columns_[i], well_readable);
      if (may && (widest == columns_.size() || widths[i] > widths[widest])) widest = i;
    }
    if (widest == columns_.size()) break;
    --widths[widest];
  }
  return widths;
}

std::vector<std::size_t> Table::widths(const Style& style) const {
  std::vector<std::size_t> whole;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = cli::columns(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, cli::columns(row.cells[i].text));
    whole.push_back(width);
  }
  if (style.width == 0) return whole;
  const auto leave_out_one = [this, &whole](auto may) {
    for (std::size_t i = columns_.size(); i-- > 0;)
      if (columns_[i].extra && whole[i] != left_out && may(i)) {
        whole[i] = left_out;
        return true;
      }
    return false;
  };
  while (total(whole) > style.width && leave_out_one([this](std::size_t i) { return is_empty(i); })) {
  }
  for (;;) {
    auto fitted = cut_to(style.width, whole, true);
    if (total(fitted) <= style.width) return fitted;
    if (!leave_out_one([](std::size_t) { return true; })) break;
  }
  return cut_to(style.width, whole, false);
}

std::string Table::line(const Style& style, const std::vector<Cell>& cells, const std::vector<std::size_t>& widths,
                        const std::string& note) const {
  std::string out;
  std::size_t blanks = 0;  // held back, so that no line ends in blanks
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (widths[i] == left_out) continue;
    const auto text = columns_[i].prose ? cut(cells[i].text, widths[i]) : cut_middle(cells[i].text, widths[i]);
    const auto fill = widths[i] - std::min(widths[i], cli::columns(text));
    if (columns_[i].right) blanks += fill;
    if (!text.empty()) {
      out.append(blanks, ' ');
      blanks = 0;
      out += paint(style, cells[i].colour, text);
    }
    if (!columns_[i].right) blanks += fill;
    blanks += gap.size();
  }
  if (!note.empty()) out += std::string(blanks, ' ') + note;
  return out + "\n";
}

std::string Table::render(const Style& style) const {
  const auto fitted = widths(style);
  std::size_t longest = 0;
  for (const auto& row : rows_) longest = std::max(longest, cli::columns(row.note));
  const bool beside = style.width == 0 || total(fitted) + gap.size() + longest <= style.width;

  std::vector<Cell> titles;
  for (const auto& column : columns_) titles.push_back({column.title, Colour::dim});
  std::string out = line(style, titles, fitted, beside && longest > 0 ? paint(style, Colour::dim, note_title_) : "");
  for (const auto& row : rows_) {
    out += line(style, row.cells, fitted, beside ? row.note : "");
    if (!beside && !row.note.empty()) out += wrap(row.note, style.width, note_indent, note_indent);
  }
  return out;
}

}  // namespace neptune::cli
