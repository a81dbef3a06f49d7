#pragma once

#include <string>
#include <vector>

#include "client/cli/text.h"

namespace neptune::cli {

struct Column {
  std::string title;
  bool right = false;   ///< numbers
  bool shrink = false;  ///< may be cut when the terminal is narrow: a name, in its middle
  bool extra = false;   ///< left out where not all columns fit: one with nothing in it first, then the last
  bool prose = false;   ///< a sentence: cut at its end, and left out sooner than cut to a few words
};

struct Cell {
  std::string text;
  Colour colour = Colour::plain;
};

/// Rows in columns as wide as what is in them. A row's note is a sentence: it stands in a last column where all notes
/// fit into the terminal's width, else on lines of its own below the row. It is never cut. Where there is not enough
/// room, extra columns with nothing in them go first; then names are cut as long as they can be read well; then the
/// other extra columns go; then the rest is cut further.
class Table {
 public:
  explicit Table(std::vector<Column> columns, std::string note_title = {})
      : columns_(std::move(columns)), note_title_(std::move(note_title)) {}

  void add(std::vector<Cell> cells, std::string note = {});
  std::string render(const Style& style) const;

 private:
  struct Row {
    std::vector<Cell> cells;
    std::string note;
  };

  std::vector<std::size_t> widths(const Style& style) const;
  /// `widths` cut down to what fits, or as far as cutting is allowed.
  std::vector<std::size_t> cut_to(std::size_t width, std::vector<std::size_t> widths, bool well_readable) const;
  std::size_t least_of(const Column& column, bool well_readable) const;
  bool is_empty(std::size_t column) const;
  std::string line(const Style& style, const std::vector<Cell>& cells, const std::vector<std::size_t>& widths,
                   const std::string& note) const;

  std::vector<Column> columns_;
  std::string note_title_;
  std::vector<Row> rows_;
};

}  // namespace neptune::cli
