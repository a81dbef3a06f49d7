#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <cstddef>
#include <map>
#include <set>
#include <string>

#include "local_api/impl/intake.h"
#include "local_api/impl/peer.h"
#include "local_api/impl/routes.h"
#include "local_api/local_api.h"

namespace neptune::local_api {

using Stream = boost::beast::basic_stream<boost::asio::local::stream_protocol>;

struct Connection;

/// What all connections share. Lives as long as the LocalApi.
struct Door {
  Door(const Options& o, Context c, Operators& ops)
      : options(o),
        context(c),
        operators(ops),
        allowances(c.clock, o.intake_per_second, o.intake_burst),
        bodies(o.max_bodies_bytes) {}

  const Options& options;
  Context context;
  Operators& operators;
  Allowances allowances;
  BodyBudget bodies;
  bool stopping = false;
  Instant last_nudge{};                        // of somebody who is no operator
  std::set<Connection*> connections;           // each takes itself out when it ends
  std::map<uid_t, std::size_t> per_user;       // how many of them a user has
  std::set<boost::asio::steady_timer*> bells;  // cancelled when there are new events; each reader's own

  void ring() {
    for (auto* bell : bells) bell->cancel();
  }
};

/// One accepted connection, counted until it ends, or is let go.
struct Connection {
  Connection(Stream s, Peer p, Door& d) : stream(std::move(s)), peer(p), door(d), idle_since(d.context.clock.now()) {
    door.connections.insert(this);
    ++door.per_user[peer.uid];
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { give_up_place(); }

  void rest() {
    idle = true;
    idle_since = door.context.clock.now();
  }

  /// Of an idle one: it ends, and another may have its place at once.
  void let_go() {
    give_up_place();
    stream.cancel();
  }

  Stream stream;
  Peer peer;
  Door& door;
  bool idle = true;  // between requests: may be closed without anybody losing an answer
  Instant idle_since;
  bool streams_events = false;
  bool draining = false;  // it still sends what nobody reads, and is to read its answer then

 private:
  void give_up_place() {
    if (door.connections.erase(this) == 0) return;
    const auto mine = door.per_user.find(peer.uid);
    if (--mine->second == 0) door.per_user.erase(mine);
  }
};

}  // namespace neptune::local_api
