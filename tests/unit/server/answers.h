#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/server/fixture.h"

namespace neptune::server::test {

/// What a scripted server answers, by "METHOD target". Several answers to one are given in order; the last one stays.
class Answers {
 public:
  void on(const std::string& request, Reply reply) { by_request_[request].push_back(std::move(reply)); }
  void on(const std::string& request, const std::string& body) { on(request, http_reply(200, body)); }

  Reply operator()(const Received& request) {
    const auto what = request.method + " " + request.target;
    calls.push_back(what);
    bodies.push_back(request.body);
    const auto found = by_request_.find(what);
    if (found == by_request_.end()) {
      ADD_FAILURE() << "an unexpected request: " << what << " " << request.body;
      return http_reply(418);
    }
    auto reply = found->second.front();
    if (found->second.size() > 1) found->second.pop_front();
    return reply;
  }

  std::vector<std::string> calls;   ///< all so far
  std::vector<std::string> bodies;  ///< of the calls

 private:
  std::map<std::string, std::deque<Reply>> by_request_;
};

/// A fixture with a Server and the answers it gets.
class WithAnswers : public WithNeptune {
 protected:
  WithAnswers() {
    neptune.call = [this](const Received& request) { return answers(request); };
    server = make_server();
  }

  Answer<ManageReply> manage(Management change) { return run(server->manage(std::move(change))); }
  /// Success, and nothing else was asked.
  void expect_one_call(Management change, const std::string& request, const std::string& body) {
    answers.calls.clear();
    answers.bodies.clear();
    const auto reply = manage(std::move(change));
    EXPECT_TRUE(reply) << reply.error().message;
    ASSERT_EQ(answers.calls.size(), 1u);
    EXPECT_EQ(answers.calls[0], request);
    EXPECT_EQ(answers.bodies[0], body);
  }

  Answers answers;
  std::unique_ptr<Server> server;
};

inline const ProjectName lab{"ml-team", "lab"};
inline const std::string projects = "/api/backend/v1/projects";
inline const std::string which = "?projectIdentifier=ml-team%2Flab";
inline const std::string experiments = "/api/leaderboard/v1/experiments";
inline const std::string get_lab = "GET /api/backend/v1/projects/get?projectIdentifier=ml-team%2Flab";
inline const std::string lab_facts = R"({"id":"lab-id","name":"lab","projectKey":"LAB"})";

inline Reply refusal_of(int status, const std::string& type) {
  return http_reply(status,
                    R"({"code":)" + std::to_string(status) + R"(,"errorType":")" + type + R"(","message":"a reason"})");
}

}  // namespace neptune::server::test
