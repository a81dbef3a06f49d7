#pragma once

#include <string>
#include <vector>

#include "client/cli/text.h"

namespace neptune::cli {

struct Column {
  std::string title;
  bool right = false;   ///< numbers
  bool shrink = false;  ///< may be cut when the terminal is narrow
  bool extra = false;   ///< left out where all columns do not fit, the last first
};

struct Cell {
  std::string text;
  Colour colour = Colour::plain;
};

/// Rows in columns as wide as what is in them. A row's note is a sentence: it stands in a last column where all notes
/// fit into the terminal's width, else on lines of its own below the row. It is never cut.
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
  std::string line(const Style& style, const std::vector<Cell>& cells, const std::vector<std::size_t>& widths,
                   const std::string& note) const;

  std::vector<Column> columns_;
  std::string note_title_;
  std::vector<Row> rows_;
};

}  // namespace neptune::cli
