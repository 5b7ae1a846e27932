// A compiled graph on the CPU: a flat list of instructions over one arena, bound to its parameters.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "chainrule/graph.h"
#include "chainrule/reference.h"

namespace chainrule {

class ThreadPool;

/// The values that outlive a step, by name: weights, moments, running statistics. Several programs
/// may be bound to the same Parameters: a training step, an evaluation, the last short batch.
class Parameters {
 public:
  Parameters() = default;
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  /// Adds a parameter, or overwrites its numbers in place.
  ///
  /// throws  ShapeError naming both when the name exists with another shape or dtype.
  void set(const std::string& name, const Tensor& value);
  /// throws  UsageError naming what there is when the name is unknown.
  Tensor& at(std::string_view name);
  const Tensor& at(std::string_view name) const;
  bool contains(std::string_view name) const { return tensors_.contains(name); }
  const TensorMap& tensors() const { return tensors_; }

 private:
  TensorMap tensors_;
};

/// Threads to run programs on; the caller's thread is one of them. 0 means one a core. Where the
/// system refuses some, there are fewer: see thread_count().
///
/// Any number of programs may use them, also at the same time from several threads: a program that
/// finds them at work for another runs on its caller's thread alone, with the same bits.
/// throws  UsageError when threads is negative or above 1024.
std::shared_ptr<ThreadPool> make_thread_pool(int threads = 0);

/// How many threads there are, the caller's included.
int thread_count(const ThreadPool& threads);

/// The instruction set that programs run on: "avx512", "avx2", "sse4", "neon" or "plain". The best
/// that the machine has, unless the environment variable CHAINRULE_SIMD names another.
///
/// The bits of results are the same on any number of threads, but not on every instruction set.
/// throws  UsageError when the variable names none of these, or one that the machine lacks; as do
///         make_thread_pool() and the making of a Program.
std::string instruction_set();

struct CompileOptions {
  std::shared_ptr<ThreadPool> threads;  // none: the caller's thread alone
  std::string guard;  // an output, usually "loss", that must be finite before any update happens
  bool tiny = true;   // run graphs of arrays of up to sixteen numbers in registers
};

/// A graph compiled for the CPU: simplified, fused, planned into one arena, every pointer bound.
/// Running it allocates nothing. The same graph and inputs give the same bits on any number of
/// threads. While it runs, numbers below 2⁻¹²⁶ in size are taken as zeros.
///
/// A Program holds its inputs and outputs, so it serves one thread at a time. Programs that share
/// Parameters may run at the same time as long as none of them updates any.
class Program {
 public:
  /// requires  a tensor in `parameters` for every parameter of the graph.
  /// throws    UsageError for a missing parameter or guard; ShapeError for a wrong shape.
  Program(const Graph& graph, const std::shared_ptr<Parameters>& parameters,
          CompileOptions options = {});
  Program(Program&&) noexcept;
  Program& operator=(Program&&) noexcept;
  ~Program();

  /// The memory of an input, to be written before run(); T is float or std::int32_t.
  ///
  /// throws  UsageError for an unknown name; ShapeError for the wrong T.
  template <typename T>
  std::span<T> input(std::string_view name);

  /// Lets an input read from the caller's memory from now on, without a copy.
  ///
  /// requires  `data` is 4-byte aligned, holds the input's elements and outlives the runs.
  void bind(std::string_view name, const void* data);

  /// Computes every output, then applies the updates.
  ///
  /// Returns false, with no parameter changed, when the guarded output is not finite.
  /// throws  DataError naming the position for a label or index out of range; no parameter is
  /// changed.
  bool run();

  /// An output of the last run; T is float or std::int32_t.
  template <typename T>
  std::span<const T> output(std::string_view name) const;

  /// The compiled instructions, one a line, with their place in the arena.
  std::string to_text() const;
  /// Bytes of the arena.
  std::size_t arena_bytes() const;
  /// Multiply-adds of matrix products in one run, times two.
  double flop() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace chainrule
