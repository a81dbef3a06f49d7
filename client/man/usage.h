#pragma once

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace neptune::man {

inline constexpr int wrong_usage = 2;  ///< the exit code of every program

/// Ends the reading of a command line: help and version go to standard output, and the answer is 0; what was not
/// understood is told on standard error, with the word that may have been meant, and the answer is `wrong_usage`.
int end_of_usage(const CLI::App& app, const CLI::ParseError& error);

}  // namespace neptune::man
