// The public face of the CPU backend: parameters by name, and a Program that runs its instructions.
#include "chainrule/program.h"

#include <cmath>
#include <cstring>
#include <thread>

#include "backend/cpu/program/lowering.h"
#include "backend/cpu/simd/instruction_set.h"
#include "base/denormals.h"
#include "chainrule/error.h"

namespace chainrule {
namespace {

std::string known_names(const auto& map) {
  std::string names;
  for (const auto& [name, value] : map) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "there are none" : "there are " + names;
}

const auto& find_named(const auto& map, std::string_view name, const char* kind) {
  const auto found = map.find(name);
  if (found == map.end()) {
    throw UsageError(std::string("no ") + kind + " \"" + std::string(name) + "\"; " +
                     known_names(map));
  }
  return found->second;
}

template <typename T>
constexpr DType kDTypeOf = std::is_same_v<T, float> ? DType::kF32 : DType::kI32;

template <typename T>
std::span<T> typed(const cpu::NamedSlot& named, std::string_view name) {
  if (named.type.dtype != kDTypeOf<T>) {
    throw ShapeError(std::string(name) + " is " + to_string(named.type) + ", asked for as " +
                     to_string(kDTypeOf<T>));
  }
  return {reinterpret_cast<T*>(named.slot->data),
          static_cast<std::size_t>(element_count(named.type.shape))};
}

}  // namespace

void Parameters::set(const std::string& name, const Tensor& value) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    tensors_.emplace(name, value);
    return;
  }
  Tensor& old = found->second;
  if (old.shape() != value.shape() || old.dtype() != value.dtype()) {
    throw ShapeError("parameter " + name + ": expected " +
                     to_string(Type{old.dtype(), old.shape()}) + ", got " +
                     to_string(Type{value.dtype(), value.shape()}));
  }
  std::memcpy(old.data(), value.data(), value.bytes());
}

Tensor& Parameters::at(std::string_view name) {
  return const_cast<Tensor&>(std::as_const(*this).at(name));
}

const Tensor& Parameters::at(std::string_view name) const {
  return find_named(tensors_, name, "parameter");
}

std::shared_ptr<ThreadPool> make_thread_pool(int threads) {
  if (threads < 0 || threads > 1024) {
    throw UsageError("threads: expected 0 (one a core) to 1024, got " + std::to_string(threads));
  }
  cpu::choose_instruction_set();
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  return std::make_shared<ThreadPool>(threads == 0 ? static_cast<int>(cores) : threads);
}

int thread_count(const ThreadPool& threads) { return threads.threads(); }

struct Program::State {
  cpu::Code code;
  std::shared_ptr<ThreadPool> pool;
  Tensor scratch;
  cpu::Machine machine;
  const float* guard = nullptr;
};

Program::Program(const Graph& graph, const std::shared_ptr<Parameters>& parameters,
                 CompileOptions options)
    : state_(std::make_unique<State>()) {
  cpu::choose_instruction_set();
  state_->code = cpu::lower(graph, parameters, options.tiny);
  state_->pool = options.threads ? std::move(options.threads) : make_thread_pool(1);
  const std::size_t stride = (state_->code.scratch_bytes + 63) / 64 * 64;
  const auto threads = static_cast<std::size_t>(state_->pool->threads());
  const std::size_t shared = (state_->code.shared_bytes + 63) / 64 * 64;
  state_->scratch =
      Tensor(DType::kF32, {static_cast<std::int64_t>((stride * threads + shared) / sizeof(float))});
  std::byte* const scratch = state_->scratch.data();
  state_->machine = {state_->pool.get(), scratch, stride, scratch + stride * threads};
  if (!options.guard.empty()) state_->guard = output<float>(options.guard).data();
}

Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;
Program::~Program() = default;

template <typename T>
std::span<T> Program::input(std::string_view name) {
  return typed<T>(find_named(state_->code.inputs, name, "input"), name);
}

template <typename T>
std::span<const T> Program::output(std::string_view name) const {
  return typed<T>(find_named(state_->code.outputs, name, "output"), name);
}

void Program::bind(std::string_view name, const void* data) {
  // Instructions only read inputs; a slot has no const form.
  find_named(state_->code.inputs, name, "input").slot->data =
      static_cast<std::byte*>(const_cast<void*>(data));
}

bool Program::run() {
  const DenormalsAsZeros zeros;
  for (const cpu::InstructionPtr& step : state_->code.compute) step->run(state_->machine);
  if (state_->guard != nullptr && !std::isfinite(*state_->guard)) return false;
  for (const cpu::InstructionPtr& step : state_->code.apply) step->run(state_->machine);
  return true;
}

std::string Program::to_text() const {
  std::string text = chainrule::to_text(*state_->code.graph);
  for (const std::string& line : state_->code.listing) text += line + "\n";
  return text + "arena: " + std::to_string(arena_bytes()) + " bytes\n";
}

std::size_t Program::arena_bytes() const { return state_->code.arena_bytes; }

double Program::flop() const {
  double total = 0;
  for (const auto* list : {&state_->code.compute, &state_->code.apply}) {
    for (const cpu::InstructionPtr& step : *list) total += step->flop;
  }
  return total;
}

template std::span<float> Program::input<float>(std::string_view);
template std::span<std::int32_t> Program::input<std::int32_t>(std::string_view);
template std::span<const float> Program::output<float>(std::string_view) const;
template std::span<const std::int32_t> Program::output<std::int32_t>(std::string_view) const;

std::string instruction_set() { return cpu::name_of_best(cpu::choose_instruction_set()); }

}  // namespace chainrule
