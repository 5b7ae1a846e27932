// Each call of an update with the arguments that a golden case states; the rest stay as they are by
// default.
#include "ops/golden_updates.h"

#include "chainrule/ops.h"

namespace chainrule {
namespace {

Values sgd(Graph&, const Values& x, const Arguments& a) {
  SgdOptions options;
  a.set(options.momentum, "momentum");
  a.set(options.nesterov, "nesterov");
  a.set(options.weight_decay, "weight_decay");
  if (x.size() == 3) return sgd_update(x[0], {}, x[1], x[2], options);
  return sgd_update(x.at(0), x.at(1), x.at(2), x.at(3), options);
}

Values rmsprop(Graph&, const Values& x, const Arguments& a) {
  RmspropOptions options;
  a.set(options.decay, "decay");
  a.set(options.epsilon, "epsilon");
  a.set(options.centered, "centered");
  a.set(options.momentum, "momentum");
  a.set(options.weight_decay, "weight_decay");
  return rmsprop_update(x.at(0), Values(x.begin() + 1, x.end() - 2), x[x.size() - 2], x.back(),
                        options);
}

Values adam(Graph&, const Values& x, const Arguments& a) {
  AdamOptions options;
  a.set(options.beta1, "beta1");
  a.set(options.beta2, "beta2");
  a.set(options.epsilon, "epsilon");
  a.set(options.weight_decay, "weight_decay");
  a.set(options.decoupled, "decoupled");
  if (x.size() == 6) return adam_update(x[0], x[1], x[2], x[3], x[4], x[5], options);
  return amsgrad_update(x.at(0), x.at(1), x.at(2), x.at(3), x.at(4), x.at(5), x.at(6), options);
}

Values nadam(Graph&, const Values& x, const Arguments& a) {
  NadamOptions options;
  a.set(options.weight_decay, "weight_decay");
  a.set(options.decoupled, "decoupled");
  return nadam_update(x.at(0), x.at(1), x.at(2), x.at(3), x.at(4), x.at(5), x.at(6), options);
}

Values adagrad(Graph&, const Values& x, const Arguments& a) {
  return adagrad_update(x.at(0), x.at(1), x.at(2), x.at(3),
                        {.weight_decay = a.real("weight_decay")});
}

Values adadelta(Graph&, const Values& x, const Arguments& a) {
  return adadelta_update(x.at(0), x.at(1), x.at(2), x.at(3), x.at(4),
                         {.weight_decay = a.real("weight_decay")});
}

Values lion(Graph&, const Values& x, const Arguments& a) {
  return lion_update(x.at(0), x.at(1), x.at(2), x.at(3), {.weight_decay = a.real("weight_decay")});
}

Values muon(Graph&, const Values& x, const Arguments& a) {
  MuonOptions options;
  a.set(options.nesterov, "nesterov");
  a.set(options.weight_decay, "weight_decay");
  return muon_update(x.at(0), x.at(1), x.at(2), x.at(3), options);
}

Values weight_average(Graph&, const Values& x, const Arguments& a) {
  return {weight_average_update(x.at(0), x.at(1), x.at(2), a.real("decay"))};
}

}  // namespace

std::map<std::string, Build> update_builders() {
  return {
      {"sgd_update", sgd},
      {"rmsprop_update", rmsprop},
      {"adam_update", adam},
      {"amsgrad_update", adam},
      {"nadam_update", nadam},
      {"nadam_correction",
       [](Graph&, const Values& x, const Arguments&) {
         return Values{nadam_correction(x.at(0), x.at(1))};
       }},
      {"adagrad_update", adagrad},
      {"adadelta_update", adadelta},
      {"lion_update", lion},
      {"muon_update", muon},
      {"weight_average_update", weight_average},
  };
}

}  // namespace chainrule
