#pragma once

#include <string>
#include <string_view>

/// What makes move what waits, in sentences.
namespace neptune::cli {

/// `waiting_for`: the daemon's word (Explanation::waiting_for). Empty for a word that asks for nothing.
std::string cure(std::string_view waiting_for, const std::string& project, const std::string& run,
                 bool of_files = false);
/// Of what waits for a token.
std::string cure_of_token();
/// Of what waits for something that `command` creates.
std::string cure_of_missing(const std::string& command);

}  // namespace neptune::cli
