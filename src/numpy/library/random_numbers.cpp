// np.random: the legacy generator, in the order in which the program draws.
#include "base/format.h"
#include "chainrule/error.h"
#include "numpy/eval/interpreter.h"

namespace chainrule::numpy {
namespace {

// The generator that a call draws from: its own, or NumPy's global one.
RandomState& generator(Arguments& a) {
  if (a.next < a.positional.size()) {
    if (const auto* own = a.positional[a.next].as<std::shared_ptr<RandomState>>()) {
      ++a.next;
      return **own;
    }
  }
  return a.in.random();
}

Object as_object(Kind kind, const Shape& shape, std::vector<double> numbers) {
  if (shape.empty()) return {Number{kind, numbers.at(0), {}, nullptr}};
  return known_array(kind, shape, std::move(numbers));
}

Shape checked(const Arguments& a, Shape shape) {
  a.in.make_room(a.call, shape);
  return shape;
}

Shape size(Arguments& a) {
  const Object* given = a.take("size");
  if (given == nullptr || given->nothing()) return {};
  return checked(a, a.in.shape(a.call, *given, "size"));
}

// rand(3, 2): the shape is the list of arguments.
Shape extents(Arguments& a) { return checked(a, a.in.shape(a.call, tuple(a.rest()), "the shape")); }

std::vector<double> drawn(RandomState& random, const Shape& shape, double (RandomState::*draw)(),
                          double offset, double scale) {
  std::vector<double> numbers(static_cast<std::size_t>(element_count(shape)));
  for (double& x : numbers) x = offset + scale * (random.*draw)();
  return numbers;
}

Object plain(Arguments& a, RandomState& random, const Shape& shape, double (RandomState::*draw)()) {
  std::vector<double> numbers(static_cast<std::size_t>(element_count(shape)));
  for (double& x : numbers) x = (random.*draw)();
  (void)a;
  return as_object(Kind::kReal, shape, std::move(numbers));
}

constexpr double (RandomState::*kUniform)() = &RandomState::rand;
constexpr double (RandomState::*kNormal)() = &RandomState::randn;

Object randint(Arguments& a) {
  RandomState& random = generator(a);
  std::int64_t low = a.integer("low");
  const Object* second = a.take("high");
  std::int64_t high = low;
  if (second == nullptr || second->nothing()) {
    low = 0;
  } else {
    high = a.in.integer(a.call, *second, "high");
  }
  const Shape shape = size(a);
  const std::vector<std::int64_t> numbers = random.randint(low, high, element_count(shape));
  return as_object(Kind::kInteger, shape, {numbers.begin(), numbers.end()});
}

Object rows_in_order(Arguments& a, const Object& x, const std::vector<std::int64_t>& order) {
  const Object index = known_array(Kind::kInteger, {static_cast<std::int64_t>(order.size())},
                                   {order.begin(), order.end()});
  return a.in.subscript(a.call, x, index);
}

Object permutation(Arguments& a) {
  RandomState& random = generator(a);
  const Object x = a.need("x");
  if (x.number() != nullptr) {
    const std::int64_t n = a.in.integer(a.call, x, "x");
    a.in.make_room(a.call, {n});
    const std::vector<std::int64_t> order = random.permutation(n);
    return known_array(Kind::kInteger, {static_cast<std::int64_t>(order.size())},
                       {order.begin(), order.end()});
  }
  const Object array = a.in.to_array(a.call, x);
  if (!array.array() || array.array()->shape.empty()) a.fail("expected an array");
  return rows_in_order(a, array, random.permutation(array.array()->shape[0]));
}

Object shuffle(Arguments& a) {
  RandomState& random = generator(a);
  const Object x = a.need("x");
  if (!x.array() || x.array()->shape.empty()) a.fail("only an array is shuffled");
  const ArrayPtr array = x.array();
  const Object next = rows_in_order(a, x, random.permutation(array->shape[0]));
  a.in.change_by_call(a.call, *a.call.children.back(), array, next);
  return {};
}

Object choice(Arguments& a) {
  RandomState& random = generator(a);
  const Object from = a.need("a");
  const Shape shape = size(a);
  const Object* replace = a.take("replace");
  const bool again = replace == nullptr || a.in.truth(a.call, *replace);
  if (a.keyword("p") != nullptr) a.fail("p= is not read; draw with np.random.rand() instead");
  const std::int64_t n = from.number() != nullptr
                             ? a.in.integer(a.call, from, "a")
                             : static_cast<std::int64_t>(a.in.items(a.call, from).size());
  const std::int64_t count = element_count(shape);
  if (n < 1 || (!again && count > n)) a.fail("there are not as many to choose from");
  if (!again) a.in.make_room(a.call, {n});  // all of them are put into an order
  std::vector<std::int64_t> order = again ? random.randint(0, n, count) : random.permutation(n);
  order.resize(static_cast<std::size_t>(count));
  const Object index = as_object(Kind::kInteger, shape, {order.begin(), order.end()});
  return from.number() != nullptr ? index
                                  : a.in.subscript(a.call, a.in.to_array(a.call, from), index);
}

}  // namespace

void add_random(BuiltinTable& t) {
  t["np.random.seed"] = [](Arguments& a) -> Object {
    const std::int64_t seed = a.integer_or("seed", 0);
    if (seed < 0 || seed > 0xffffffffLL) a.fail("expected a seed in 0 … 2^32 - 1");
    a.in.seed(static_cast<std::uint32_t>(seed));
    return {};
  };
  t["np.random.RandomState"] = [](Arguments& a) -> Object {
    const std::int64_t seed = a.integer_or("seed", 0);
    if (seed < 0 || seed > 0xffffffffLL) a.fail("expected a seed in 0 … 2^32 - 1");
    return {std::make_shared<RandomState>(static_cast<std::uint32_t>(seed))};
  };
  t["np.random.randn"] = [](Arguments& a) {
    RandomState& random = generator(a);
    return plain(a, random, extents(a), kNormal);
  };
  t["np.random.rand"] = [](Arguments& a) {
    RandomState& random = generator(a);
    return plain(a, random, extents(a), kUniform);
  };
  t["np.random.standard_normal"] = [](Arguments& a) {
    RandomState& random = generator(a);
    return plain(a, random, size(a), kNormal);
  };
  for (const char* name : {"random", "random_sample", "ranf", "sample"}) {
    t[std::string("np.random.") + name] = [](Arguments& a) {
      RandomState& random = generator(a);
      return plain(a, random, size(a), kUniform);
    };
  }
  t["np.random.normal"] = [](Arguments& a) {
    RandomState& random = generator(a);
    const double mean = a.real_or("loc", 0);
    const double deviation = a.real_or("scale", 1);
    const Shape shape = size(a);
    return as_object(Kind::kReal, shape, drawn(random, shape, kNormal, mean, deviation));
  };
  t["np.random.uniform"] = [](Arguments& a) {
    RandomState& random = generator(a);
    const double low = a.real_or("low", 0);
    const double high = a.real_or("high", 1);
    const Shape shape = size(a);
    return as_object(Kind::kReal, shape, drawn(random, shape, kUniform, low, high - low));
  };
  t["np.random.randint"] = randint;
  t["np.random.permutation"] = permutation;
  t["np.random.shuffle"] = shuffle;
  t["np.random.choice"] = choice;
}

}  // namespace chainrule::numpy
