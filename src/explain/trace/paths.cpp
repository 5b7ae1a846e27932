// One weight's derivative as a sum over paths. The entries that the weight reaches form a graph
// without cycles, whose edges are local derivatives; counts, sums and the largest product that can
// still come are found from its end to its start, and the largest paths by looking at the best
// beginning first.
#include <algorithm>
#include <cmath>
#include <map>
#include <queue>

#include "base/format.h"
#include "base/nearest.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/trace_text.h"
#include "explain/trace/station_derivative.h"
#include "explain/verify/numeric.h"
#include "notation/entry.h"

namespace chainrule {
namespace {

struct Edge {
  std::size_t to = 0;  // a place in PathGraph::places
  double factor = 0;
};

struct Place {
  TraceEntry entry;
  std::vector<Edge> edges;
  double count = 0;  // of paths to the loss
  double sum = 0;    // of their products
  double best = 0;   // the largest of their |products|
};

class PathGraph {
 public:
  PathGraph(const Trace& trace, const TraceEntry& weight) {
    stations_ = stations_between(trace, *weight.value);
    for (std::size_t i = 1; i < stations_.size(); ++i) {
      locals_.emplace_back(trace, stations_, *stations_[i]);
    }
    place_of(weight);
    // Places are made in the order of the stations, so each is complete before it is left.
    for (std::size_t s = 0; s < stations_.size(); ++s) {
      for (std::size_t p = 0; p < places.size(); ++p) {
        if (places[p].entry.value == stations_[s]) add_edges(p);
      }
    }
    sum_up();
  }

  std::vector<Place> places;  // the weight is the first

  bool is_end(const Place& place) const { return place.entry.value == stations_.back(); }

 private:
  static std::vector<const TraceValue*> stations_between(const Trace& trace,
                                                         const TraceValue& weight) {
    std::vector<const TraceValue*> stations;
    for (const TraceLayer& layer : trace.layers) {
      const TraceValue* output = trace.find(layer.output);
      if (output != nullptr && output->part == TracePart::kForward) stations.push_back(output);
    }
    for (const TraceSequence& sequence : trace.sequences) {
      for (const TraceValue& value : trace.values) {
        const bool named = value.layer == sequence.layer && value.name[0] != 'u';
        if (named && value.part == TracePart::kForward) stations.push_back(&value);
      }
    }
    stations.push_back(trace.find("loss"));
    std::sort(stations.begin(), stations.end(), [](const TraceValue* a, const TraceValue* b) {
      return a->value.node().id < b->value.node().id;
    });
    stations.erase(std::unique(stations.begin(), stations.end()), stations.end());
    stations.insert(stations.begin(), &weight);
    return stations;
  }

  std::size_t place_of(const TraceEntry& entry) {
    const auto [found, added] =
        numbers_.try_emplace({entry.value->name, entry.element}, places.size());
    if (added) places.push_back({entry, {}, 0, 0, 0});
    return found->second;
  }

  void add_edges(std::size_t p) {
    const TraceEntry at = places[p].entry;
    for (std::size_t i = 0; i < locals_.size(); ++i) {
      const auto& from = locals_[i].from();
      if (std::find(from.begin(), from.end(), at.value) == from.end()) continue;
      const std::vector<double>& column = locals_[i].column(*at.value, at.element);
      const bool diagonal = locals_[i].is_elementwise(*at.value);
      for (std::size_t e = 0; e < column.size(); ++e) {
        // A relu that is off is worth showing; what does not depend at all is not.
        if (column[e] == 0 && !(diagonal && e == at.element)) continue;
        const std::size_t to = place_of({stations_[i + 1], e});
        places[p].edges.push_back({to, column[e]});
      }
    }
  }

  void sum_up() {
    std::vector<std::size_t> order(places.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return places[a].entry.value->value.node().id > places[b].entry.value->value.node().id;
    });
    for (const std::size_t p : order) {
      Place& place = places[p];
      if (is_end(place)) {
        place.count = place.sum = place.best = 1;
        continue;
      }
      for (const Edge& edge : place.edges) {
        if (edge.factor == 0) continue;
        const Place& to = places[edge.to];
        place.count += to.count;
        place.sum += edge.factor * to.sum;
        place.best = std::max(place.best, std::abs(edge.factor) * to.best);
      }
    }
  }

  std::vector<const TraceValue*> stations_;
  std::vector<StationDerivative> locals_;  // of stations_[1], stations_[2], …
  std::map<std::pair<std::string, std::size_t>, std::size_t> numbers_;
};

struct Beginning {
  std::vector<std::size_t> places;
  std::vector<double> factors;
  double product = 1;
  double promise = 0;  // the largest |product| that a path with this beginning has
  bool operator<(const Beginning& other) const { return promise < other.promise; }
};

WeightPath finished(const PathGraph& graph, const Beginning& beginning) {
  WeightPath path;
  for (const std::size_t p : beginning.places) path.entries.push_back(graph.places[p].entry);
  path.factors = beginning.factors;
  path.product = beginning.product;
  return path;
}

std::vector<WeightPath> largest_paths(const PathGraph& graph, std::size_t most) {
  std::vector<WeightPath> paths;
  std::priority_queue<Beginning> waiting;
  waiting.push({{0}, {}, 1, graph.places[0].best});
  while (!waiting.empty() && paths.size() < most) {
    const Beginning best = waiting.top();
    waiting.pop();
    const Place& place = graph.places[best.places.back()];
    if (graph.is_end(place)) {
      paths.push_back(finished(graph, best));
      continue;
    }
    for (const Edge& edge : place.edges) {
      const Place& to = graph.places[edge.to];
      if (edge.factor == 0 || to.count == 0) continue;
      Beginning next = best;
      next.places.push_back(edge.to);
      next.factors.push_back(edge.factor);
      next.product *= edge.factor;
      next.promise = std::abs(next.product) * to.best;
      waiting.push(std::move(next));
    }
  }
  return paths;
}

// Beginnings that end in a factor 0; only the first few are of interest.
std::vector<WeightPath> blocked_paths(const PathGraph& graph, std::size_t most) {
  std::vector<WeightPath> blocked;
  std::vector<Beginning> waiting{{{0}, {}, 1, 0}};
  for (std::size_t at = 0; at < waiting.size() && at < 1000 && blocked.size() < most; ++at) {
    const Beginning beginning = waiting[at];
    for (const Edge& edge : graph.places[beginning.places.back()].edges) {
      Beginning next = beginning;
      next.places.push_back(edge.to);
      next.factors.push_back(edge.factor);
      next.product *= edge.factor;
      if (edge.factor == 0 && blocked.size() < most) blocked.push_back(finished(graph, next));
      if (edge.factor != 0) waiting.push_back(std::move(next));
    }
  }
  return blocked;
}

// Of the same graph, in which nothing is simplified away: dW1 of the trace may be a limit of it.
double gradient_at(const Trace& trace, const TraceEntry& weight) {
  const std::unique_ptr<Graph> graph =
      needed_part({{"loss", trace.find("loss")->value}, {"weight", weight.value->value}});
  const Value d = gradient(graph->outputs()[0].second, {graph->outputs()[1].second})[0];
  TensorMap feed;
  for (const TraceValue& value : trace.values) feed.insert_or_assign(value.name, value.numbers);
  return Evaluation(*graph, feed).value(d).values<double>()[weight.element];
}

}  // namespace

WeightPaths paths_of(const Trace& trace, const TraceEntry& weight, std::size_t most) {
  const PathGraph graph(trace, weight);
  WeightPaths paths;
  paths.count = graph.places[0].count;
  paths.sum = graph.places[0].sum;
  paths.largest = largest_paths(graph, most);
  paths.blocked = blocked_paths(graph, most);
  // In the order of the rows when they are all there.
  if (static_cast<double>(paths.largest.size()) == paths.count) {
    std::stable_sort(
        paths.largest.begin(), paths.largest.end(), [](const WeightPath& a, const WeightPath& b) {
          for (std::size_t i = 0; i < std::min(a.entries.size(), b.entries.size()); ++i) {
            if (a.entries[i].element != b.entries[i].element) {
              return a.entries[i].element < b.entries[i].element;
            }
          }
          return false;
        });
  } else {
    paths.rest = paths.sum;
    for (const WeightPath& path : paths.largest) paths.rest -= path.product;
  }
  paths.gradient = gradient_at(trace, weight);
  return paths;
}

std::string to_text(const TraceEntry& entry) {
  return entry.value->name + subscript(entry.value->value.shape(), entry.element);
}

TraceEntry find_weight(const Trace& trace, std::string_view text) {
  const std::size_t bracket = std::min(text.find('['), text.size());
  const std::string name(text.substr(0, bracket));
  std::vector<std::string> known;
  for (const TraceValue& value : trace.values) {
    if (value.part != TracePart::kParameter || trace.gradient_of(value.name) == nullptr) continue;
    known.push_back(value.name);
    known.push_back(value.parameter);
    if (name != value.name && name != value.parameter) continue;
    return {&value, element_of(text.substr(bracket), value.value.shape(), name)};
  }
  throw UsageError(unknown_name("weight", name, known));
}

}  // namespace chainrule
