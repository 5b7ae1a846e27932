// Sources, constants and names of the graph under construction.
#include "numpy/eval/tape.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "graph/op.h"
#include "numpy/parse/limits.h"

namespace chainrule::numpy {
namespace {

constexpr std::uint32_t kSeedOfUndefined = 1;

Tensor tensor_of(const std::vector<double>& numbers, const Shape& shape, DType dtype) {
  constexpr double kLargestIndex = 2147483647.0;
  const auto fits = [](double x) { return std::abs(x) <= kLargestIndex; };  // NaN does not
  if (dtype == DType::kI32 && !std::all_of(numbers.begin(), numbers.end(), fits)) {
    throw DataError("an index array holds numbers that are no indices: beyond 2^31, or no numbers");
  }
  return Tensor::of<double>(shape, numbers).as(dtype);
}

// What a matrix product multiplies; other nodes count by their elements.
double multiplications(const Node& node) {
  if (!is(node, "matmul")) return 0;
  double product = static_cast<double>(node.inputs[0].shape().back());
  for (const std::int64_t extent : node.types[0].shape) product *= static_cast<double>(extent);
  return product;
}

double elements(const Node& node) {
  double count = 0;
  for (const Type& type : node.types) {
    double of_one = 1;
    for (const std::int64_t extent : type.shape) of_one *= static_cast<double>(extent);
    count += of_one;
  }
  return count;
}

bool folds(const Object& object) { return object.number() != nullptr || object.array()->folds(); }

}  // namespace

Object known_array(Kind kind, Shape shape, std::vector<double> numbers) {
  auto array = std::make_shared<Array>();
  array->kind = kind;
  array->shape = std::move(shape);
  array->known = std::make_shared<const std::vector<double>>(std::move(numbers));
  return {array};
}

Object computed(Kind kind, Value value) {
  auto array = std::make_shared<Array>();
  array->kind = kind;
  array->shape = value.shape();
  array->value = value;
  return {array};
}

bool is_uniform(const Array& array) {
  if (!array.known || array.known->empty()) return false;
  const double first = array.known->front();
  return std::all_of(array.known->begin(), array.known->end(),
                     [&](double x) { return x == first; });
}

Object Tape::apply(Kind kind, const std::vector<Operand>& operands, const Formula& formula,
                   const Shape& shape) {
  const bool at_once = std::all_of(operands.begin(), operands.end(), [&](const Operand& o) {
    const ArrayPtr array = o.object.array();
    const bool is_placed = array && array->value;
    // Whole numbers that are no indices are data like any other: 1 - Y is computed from Y.
    const bool is_data = is_placed && !uses_.first_reading && array->value.dtype() == DType::kF32;
    return folds(o.object) && !(is_placed && o.role == Role::kIndex) && !is_data;
  });
  std::vector<Value> x;
  if (!at_once) {
    for (const Operand& o : operands) {
      const Number* number = o.object.number();
      if (number != nullptr) {
        x.push_back(number->named ? number->named : constant(*graph_, number->value, shape));
      } else if (o.role == Role::kIndex) {
        x.push_back(index(o.object.array(), o.bound));
      } else {
        x.push_back(real(o.object.array()));
      }
    }
    const std::size_t first = graph_->nodes().size();
    const Value y = formula(*graph_, x);
    admit(*graph_, first);
    return computed(kind, y);
  }
  Graph scratch("scratch");
  TensorMap feed;
  for (const Operand& o : operands) {
    if (const Number* number = o.object.number()) {
      x.push_back(constant(scratch, number->value, shape));
      continue;
    }
    const Array& array = *o.object.array();
    const DType dtype = o.role == Role::kIndex ? DType::kI32 : DType::kF32;
    const std::string name = "x" + std::to_string(x.size());
    x.push_back(scratch.input(name, {dtype, array.shape}));
    feed.insert_or_assign(name, tensor_of(*array.known, array.shape, DType::kF64));
  }
  const Value y = formula(scratch, x);
  admit(scratch, x.size());
  std::vector<double> numbers = LazyEvaluation(scratch).value(y, feed).data;
  if (y.shape().empty()) {
    Number result{kind, numbers[0], {}, nullptr};
    for (const Operand& o : operands) {
      if (o.object.number() != nullptr) result.add_sources(*o.object.number());
    }
    return {result};
  }
  return known_array(kind, y.shape(), std::move(numbers));
}

// Before anything is computed: what the nodes from `first` on will take.
void Tape::admit(const Graph& graph, std::size_t first) {
  double sum_of_elements = 0;
  double sum_of_multiplications = 0;
  for (std::size_t i = first; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    for (const Type& type : node.types) {
      if (type.shape.size() <= kMostAxes) continue;
      throw LimitError(fmt::format("an array of more than {} axes is not read", kMostAxes));
    }
    sum_of_elements += elements(node);
    sum_of_multiplications += multiplications(node);
  }
  charge(sum_of_elements, sum_of_multiplications);
}

void Tape::charge(double elements, double multiplications) {
  elements_ += elements;
  multiplications_ += multiplications;
  if (elements_ > kMostElementsTogether) {
    throw LimitError(
        fmt::format("the arrays of the program have more than {:.0f} elements together; give fewer "
                    "rows, since the derivatives have the same form",
                    kMostElementsTogether));
  }
  if (multiplications_ > kMostMultiplications) {
    throw LimitError(fmt::format(
        "the matrix products of the program take more than {:.0f} multiplications; give "
        "fewer rows, since the derivatives have the same form",
        kMostMultiplications));
  }
}

Object Tape::move(const Object& x, const Formula& formula) {
  const ArrayPtr array = x.array();
  Object result = apply(x.kind(), {{x}}, formula);
  const ArrayPtr moved = result.array();
  if (!array || !moved || moved->value || !array->value) return result;
  moved->value = formula(*graph_, {array->value});
  moved->source = array->source;
  return result;
}

Value Tape::real(const ArrayPtr& array) {
  if (!placed(array)) {
    if (is_uniform(*array)) {
      // Not kept: the array may be named later, and is a source then.
      return constant(*graph_, array->known->front(), array->shape);
    }
    const std::string name = array->hint.empty() ? "array" : array->hint;
    array->source = next_key(name);
    make_source(*array, unique(name));
  }
  if (array->value.dtype() != DType::kI32) return array->value;
  return to_float(array->value);
}

Value Tape::index(const ArrayPtr& array, std::int64_t bound) {
  placed(array);
  if (!array->source.empty()) {
    SourceUse& use = seen_.sources[array->source];
    use.as_index = true;
    const auto b = static_cast<double>(bound);
    if (bound > 0) use.bound = use.bound > 0 ? std::min(use.bound, b) : b;
  }
  if (array->value && array->value.dtype() == DType::kI32) return array->value;
  // Whole numbers that the graph holds as real ones, or has not got yet.
  const std::string name = !array->source.empty() ? array->value.name() + "_index"
                           : !array->hint.empty() ? array->hint
                                                  : "indices";
  std::vector<double> all(static_cast<std::size_t>(element_count(array->shape)), 0.0);
  if (array->kind != Kind::kReal) all = numbers(*array);  // else the next reading knows better
  const std::string key = next_key(name);
  const Value value = add_source(unique(name), key, {DType::kI32, array->shape},
                                 tensor_of(all, array->shape, DType::kI32));
  if (!array->value) array->value = value;
  return value;
}

std::vector<double> Tape::numbers(const Array& array) {
  charge(static_cast<double>(element_count(array.shape)), 0);
  if (array.known) return *array.known;
  return evaluation_.value(array.value, feed_).data;
}

void Tape::settle(Object& object, const std::string& name) {
  if (Number* number = std::get_if<Number>(&object.is)) {
    if (!settle_number(*number, name)) return;
    auto array = std::make_shared<Array>();
    array->kind = Kind::kReal;
    array->source = number->sources->front();
    array->value = add_source(unique(name), array->source, {DType::kF32, {}},
                              tensor_of({number->value}, {}, DType::kF64));
    object = {array};
    return;
  }
  const ArrayPtr array = object.array();
  if (!array) return;
  seen_.any_array = seen_.any_array || !array->shape.empty();
  if (!array->pending.empty()) return;
  const std::string key = next_key(name);
  bool at_once = uses_.first_reading || use_of(key).in_loss || use_of(key).as_index ||
                 is_parameter_name(name, names_);
  if (array->value) {
    const bool prepared = is_data_name(name) && array->value.name().empty() && is_prepared(*array);
    if (!prepared) return this->name(array->value, name);
    // X = (X - X.mean(0)) / X.std(0): what the network sees is the data.
    array->known = std::make_shared<const std::vector<double>>(numbers(*array));
    array->value = {};
    at_once = true;
  }
  array->source = key;
  if (is_uniform(*array) && !is_parameter_name(name, names_)) at_once = false;
  const std::string reserved = unique(name);
  if (at_once) return make_source(*array, reserved);
  array->pending = reserved;
}

// What is summed up or filled in element by element begins as a constant, anything else as data.
void Tape::place_pending(Array& array) {
  const std::string reserved = std::exchange(array.pending, {});
  const std::string name = array.source.substr(0, array.source.find('#'));
  const bool accumulator = names_.element_assigned.contains(name) ||
                           is_gradient_name(name, names_) || is_loss_name(name);
  if (!is_uniform(array) || !accumulator) return make_source(array, reserved);
  array.value = constant(*graph_, array.known->front(), array.shape);
  graph_->set_name(array.value, reserved);
  array.source.clear();
  if (array.kind == Kind::kReal) array.known = nullptr;
}

bool Tape::is_prepared(const Array& array) const {
  return !uses_.first_reading && uses_.any_parameter && array.kind == Kind::kReal && array.value &&
         is_data(array.value);
}

// Nodes are only ever added, so what stands below each is found out once.
const Tape::Below& Tape::below(Value value) const {
  for (std::size_t i = below_.size(); i < graph_->nodes().size(); ++i) {
    const Node& node = graph_->nodes()[i];
    Below b{is(node, "input"), is(node, "parameter"), false};
    for (const Type& type : node.types) b.whole_numbers |= type.dtype == DType::kI32;
    for (const Value& input : node.inputs) {
      const Below& of_input = below_[static_cast<std::size_t>(input.node().id)];
      b.input |= of_input.input;
      b.parameter |= of_input.parameter;
      b.whole_numbers |= of_input.whole_numbers;
    }
    below_.push_back(b);
  }
  return below_[static_cast<std::size_t>(value.node().id)];
}

// Computed from real data alone.
bool Tape::is_data(Value value) const {
  const Below& b = below(value);
  return b.input && !b.parameter && !b.whole_numbers;
}

Value Tape::placed(const ArrayPtr& array) {
  if (!array->value && !array->pending.empty()) place_pending(*array);
  return array->value;
}

bool Tape::is_variable(Value value) const { return below(value).parameter; }

// True when the number is a variable of the mathematics, and so a source.
bool Tape::settle_number(Number& number, const std::string& name) {
  if (number.kind == Kind::kBool || number.named) return false;
  const std::string key = next_key(name);
  number.sources = std::make_shared<const std::vector<std::string>>(1, key);
  const bool counts = number.kind == Kind::kInteger && name[0] >= 'A' && name[0] <= 'Z' &&
                      !has_gradient_line(name, names_) && !names_.updated.contains(name);
  const bool variable = (is_parameter_name(name, names_) && !counts) ||
                        (!uses_.any_array && !is_setting_name(name) &&
                         !is_gradient_name(name, names_) && !is_loss_name(name));
  if (!uses_.first_reading && variable && !use_of(key).as_size) return true;
  number.named = constant(*graph_, number.value);
  this->name(number.named, name);
  return false;
}

void Tape::make_source(Array& array, const std::string& unique_name) {
  const SourceUse use = use_of(array.source);
  const bool index = array.kind != Kind::kReal && use.as_index;
  array.pending.clear();
  array.value =
      add_source(unique_name, array.source, {index ? DType::kI32 : DType::kF32, array.shape},
                 tensor_of(*array.known, array.shape, index ? DType::kI32 : DType::kF64));
  if (array.kind == Kind::kReal) array.known = nullptr;
}

Object Tape::undefined_source(const std::string& name, const Shape& shape) {
  const std::string key = next_key(name);
  const SourceUse use = use_of(key);
  RandomState random(kSeedOfUndefined + static_cast<std::uint32_t>(sources_.size()));
  auto array = std::make_shared<Array>();
  array->shape = shape;
  array->source = key;
  if (use.as_index) {
    const auto bound = static_cast<std::int64_t>(std::max(use.bound, 1.0));
    const std::vector<std::int64_t> drawn = random.randint(0, bound, element_count(shape));
    std::vector<double> numbers(drawn.begin(), drawn.end());
    array->kind = Kind::kInteger;
    array->value =
        add_source(unique(name), key, {DType::kI32, shape}, tensor_of(numbers, shape, DType::kI32));
    array->known = std::make_shared<const std::vector<double>>(std::move(numbers));
  } else {
    array->value = add_source(unique(name), key, {DType::kF32, shape}, random.randn(shape));
  }
  seen_.any_array = seen_.any_array || !shape.empty();
  return {array};
}

void Tape::used_as_size(const Number& number) {
  if (!number.sources) return;
  for (const std::string& key : *number.sources) seen_.sources[key].as_size = true;
}

SourceUse Tape::use_of(const std::string& key) const {
  const auto found = uses_.sources.find(key);
  return found == uses_.sources.end() ? SourceUse() : found->second;
}

bool Tape::is_parameter(const std::string& name, const std::string& key) const {
  return is_parameter_name(name, names_) && (uses_.first_reading || use_of(key).in_loss);
}

Value Tape::add_source(const std::string& name, const std::string& key, Type type, Tensor numbers) {
  constexpr double kSourcesAsElements = 0.1;  // each new name is compared with all the others
  charge(kSourcesAsElements * static_cast<double>(sources_.size()), 0);
  const bool real = type.dtype == DType::kF32;
  const std::string base = key.substr(0, key.find('#'));
  const bool parameter = real && is_parameter(base, key);
  seen_.any_parameter = seen_.any_parameter || parameter;
  const Value value =
      parameter ? graph_->parameter(name, std::move(type)) : graph_->input(name, std::move(type));
  feed_.insert_or_assign(name, std::move(numbers));
  sources_.push_back(value);
  keys_.emplace(value.node().id, key);
  return value;
}

std::string Tape::next_key(const std::string& name) {
  return name + '#' + std::to_string(++key_counts_[name]);
}

std::string Tape::unique(const std::string& name) {
  if (taken_.insert(name).second) return name;
  // What was taken stays taken, so the search goes on where the last one ended.
  for (int& i = next_number_.try_emplace(name, 2).first->second;; ++i) {
    std::string candidate = name + '_' + std::to_string(i);
    if (!names_.all.contains(candidate) && taken_.insert(candidate).second) return candidate;
  }
}

void Tape::name(Value value, const std::string& name, bool lasting) {
  const bool provisional = provisional_.contains(value);
  if (!value.name().empty() && !(provisional && lasting)) return;
  if (lasting) provisional_.erase(value);
  if (!lasting) provisional_.insert(value);
  if (value.name() == name) return;
  graph_->set_name(value, unique(name));
}

}  // namespace chainrule::numpy
