#include "quantization/onednn/matmul.h"

#include <algorithm>
#include <array>
#include <limits>
#include <list>
#include <map>
#include <mutex>
#include <numeric>
#include <utility>

#include "quantization/kernels/isa.h"
#include "quantization/onednn/parallel.h"
#include "quantization/onednn/runtime.h"

namespace caffe2_quantization {
namespace onednn {
namespace {

constexpr int64_t kLargestSize = std::numeric_limits<int32_t>::max();
constexpr int kLargestCode = 255;
constexpr int kSmallestWeight = -128;
// 2 * 255 * 64 fits into 16 bits.
constexpr int kLargestUnsaturatedWeight = 64;

Status CheckSize(const char* name, int64_t size, int64_t smallest) {
  if (size >= smallest && size <= kLargestSize) return Status::Ok();
  return Status::InvalidArgument(std::string("matrix product: ") + name +
                                 " is " + std::to_string(size) + ", expected " +
                                 std::to_string(smallest) + " to " +
                                 std::to_string(kLargestSize));
}

Status Desc(int64_t rows, int64_t columns, dnnl_data_type_t type,
            dnnl_format_tag_t tag, dnnl_memory_desc_t* desc) {
  const dnnl_dims_t dims = {rows, columns};
  return Check(dnnl_memory_desc_init_by_tag(desc, 2, dims, type, tag),
               "dnnl_memory_desc_init_by_tag");
}

// The best implementation for weights in this form, which may be any.
Status Choose(int64_t m, int64_t k, int64_t n,
              const dnnl_memory_desc_t& weights, PrimitiveDesc* result) {
  dnnl_engine_t engine;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(GetEngine(&engine));
  dnnl_memory_desc_t a, c;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(Desc(m, k, dnnl_u8, dnnl_ab, &a));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(Desc(m, n, dnnl_s32, dnnl_ab, &c));
  dnnl_matmul_desc_t product;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Check(dnnl_matmul_desc_init(&product, &a, &weights, nullptr, &c),
            "dnnl_matmul_desc_init"));
  dnnl_primitive_attr_t made = nullptr;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Check(dnnl_primitive_attr_create(&made), "dnnl_primitive_attr_create"));
  const Attributes attributes(made);
  // oneDNN's own intermediate memory is not for several threads at once.
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(Check(
      dnnl_primitive_attr_set_scratchpad_mode(made, dnnl_scratchpad_mode_user),
      "dnnl_primitive_attr_set_scratchpad_mode"));
  dnnl_primitive_desc_t chosen = nullptr;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(Check(
      dnnl_primitive_desc_create(&chosen, &product, made, engine, nullptr),
      "dnnl_primitive_desc_create (matmul)"));
  result->reset(chosen);
  return Status::Ok();
}

// What a product reads and writes beside the weights, as oneDNN sees it.
struct Operands {
  Memory a, c, scratch;
  AlignedBytes scratch_bytes;
};

// What it takes to multiply matrices of one size. Operands are kept for the
// next product, as many as threads have used the plan at once: to make them
// anew would take half the time of a product with a small vector.
class Plan {
 public:
  Plan(Primitive primitive, const dnnl_memory_desc_t& a,
       const dnnl_memory_desc_t& c, const dnnl_memory_desc_t& scratch)
      : primitive_(std::move(primitive)), a_(a), c_(c), scratch_(scratch) {}

  Status Execute(const uint8_t* a, dnnl_memory_t w, int32_t* c) const {
    Operands operands;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(Take(&operands));
    const Status status = Execute(operands, a, w, c);
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(std::move(operands));
    return status;
  }

 private:
  Status Take(Operands* operands) const {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!idle_.empty()) {
        *operands = std::move(idle_.back());
        idle_.pop_back();
        return Status::Ok();
      }
    }
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(Allocate(
        dnnl_memory_desc_get_size(&scratch_), &operands->scratch_bytes));
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        Wrap(scratch_, operands->scratch_bytes.get(), &operands->scratch));
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        Wrap(a_, DNNL_MEMORY_NONE, &operands->a));
    return Wrap(c_, DNNL_MEMORY_NONE, &operands->c);
  }

  Status Execute(const Operands& operands, const uint8_t* a, dnnl_memory_t w,
                 int32_t* c) const {
    dnnl_stream_t stream;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(GetStream(&stream));
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        Check(dnnl_memory_set_data_handle_v2(operands.a.get(),
                                             const_cast<uint8_t*>(a), stream),
              "dnnl_memory_set_data_handle_v2"));
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        Check(dnnl_memory_set_data_handle_v2(operands.c.get(), c, stream),
              "dnnl_memory_set_data_handle_v2"));
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, operands.a.get()},
        {DNNL_ARG_WEIGHTS, w},
        {DNNL_ARG_DST, operands.c.get()},
        {DNNL_ARG_SCRATCHPAD, operands.scratch.get()}};
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        Check(dnnl_primitive_execute(primitive_.get(), stream, 4, arguments),
              "dnnl_primitive_execute (matmul)"));
    return Check(dnnl_stream_wait(stream), "dnnl_stream_wait");
  }

  const Primitive primitive_;
  const dnnl_memory_desc_t a_, c_, scratch_;
  mutable std::mutex mutex_;
  mutable std::vector<Operands> idle_;
};

using PlanKey = std::array<int64_t, 4>;  // M, K, N, threads

// The plans of the process, least recently used last.
class PlanCache {
 public:
  std::shared_ptr<const Plan> Find(const PlanKey& key) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    plans_.splice(plans_.begin(), plans_, found->second);
    return found->second->second;
  }

  void Add(const PlanKey& key, std::shared_ptr<const Plan> plan) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (places_.count(key) > 0) return;  // another thread was faster
    if (plans_.size() == kMostPlans) {
      places_.erase(plans_.back().first);
      plans_.pop_back();
    }
    plans_.emplace_front(key, std::move(plan));
    places_[key] = plans_.begin();
  }

  std::size_t Size() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return plans_.size();
  }

 private:
  using Entry = std::pair<PlanKey, std::shared_ptr<const Plan>>;

  std::mutex mutex_;
  std::list<Entry> plans_;
  std::map<PlanKey, std::list<Entry>::iterator> places_;
};

PlanCache& ThePlans() {
  // Never destroyed: nets may still run while the process exits.
  static auto* const plans = new PlanCache;
  return *plans;
}

Status MakePlan(const PlanKey& key, const dnnl_memory_desc_t& weights,
                std::shared_ptr<const Plan>* result) {
  PrimitiveDesc chosen;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Choose(key[0], key[1], key[2], weights, &chosen));
  dnnl_primitive_t made = nullptr;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Check(dnnl_primitive_create(&made, chosen.get()),
            "dnnl_primitive_create (matmul)"));
  const auto desc = [&](dnnl_query_t what) {
    return *dnnl_primitive_desc_query_md(chosen.get(), what, 0);
  };
  *result = std::make_shared<Plan>(Primitive(made), desc(dnnl_query_src_md),
                                   desc(dnnl_query_dst_md),
                                   desc(dnnl_query_scratchpad_md));
  return Status::Ok();
}

Status FindPlan(const PlanKey& key, const dnnl_memory_desc_t& weights,
                std::shared_ptr<const Plan>* plan) {
  *plan = ThePlans().Find(key);
  if (*plan != nullptr) return Status::Ok();
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(MakePlan(key, weights, plan));
  ThePlans().Add(key, *plan);
  return Status::Ok();
}

}  // namespace

struct PackedMatrix::Packed {
  dnnl_memory_desc_t desc;
  AlignedBytes data;
  // Made once: making one clears what pads the packed form, which others may
  // be reading.
  Memory memory;
};

PackedMatrix::PackedMatrix(int64_t k, int64_t n, Order order)
    : k_(k), n_(n), order_(order), column_sums_(n) {}

PackedMatrix::~PackedMatrix() = default;

Status PackedMatrix::SumColumns(const int8_t* src) {
  constexpr int64_t kSmallest = std::numeric_limits<int32_t>::min();
  constexpr int64_t kLargest = std::numeric_limits<int32_t>::max();
  const bool rows_of_n = order_ == Order::kRowsOfN;
  if (k_ * kLargestCode * -kSmallestWeight <= kLargest) {
    // No sum can be too large.
    if (rows_of_n) {
      for (int64_t j = 0; j < n_; ++j) {
        const int8_t* const row = src + j * k_;
        column_sums_[j] = std::accumulate(row, row + k_, int32_t{0});
      }
    } else {
      for (int64_t i = 0; i < k_; ++i) {
        for (int64_t j = 0; j < n_; ++j) column_sums_[j] += src[i * n_ + j];
      }
    }
    return Status::Ok();
  }
  for (int64_t j = 0; j < n_; ++j) {
    int64_t positive = 0, negative = 0;
    for (int64_t i = 0; i < k_; ++i) {
      const int8_t w = src[rows_of_n ? j * k_ + i : i * n_ + j];
      (w > 0 ? positive : negative) += w;
    }
    if (kLargestCode * positive > kLargest ||
        kLargestCode * negative < kSmallest) {
      return Status::OutOfRange(
          "matrix product: weights of output " + std::to_string(j) +
          " sum up to " + std::to_string(positive) + " and " +
          std::to_string(negative) + " over K = " + std::to_string(k_) +
          ", expected sums whose product with 255 fits into 32 bits");
    }
    column_sums_[j] = static_cast<int32_t>(positive + negative);
  }
  return Status::Ok();
}

Status PackedMatrix::AddPart(const int8_t* src) {
  Packed part;
  PrimitiveDesc chosen;
  dnnl_memory_desc_t any, plain;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Desc(k_, n_, dnnl_s8, dnnl_format_tag_any, &any));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(Desc(
      k_, n_, dnnl_s8, order_ == Order::kRowsOfK ? dnnl_ab : dnnl_ba, &plain));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(Choose(1, k_, n_, any, &chosen));
  part.desc =
      *dnnl_primitive_desc_query_md(chosen.get(), dnnl_query_weights_md, 0);
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Allocate(dnnl_memory_desc_get_size(&part.desc), &part.data));

  dnnl_engine_t engine;
  dnnl_stream_t stream;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(GetEngine(&engine));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(GetStream(&stream));
  dnnl_primitive_desc_t reorder_desc = nullptr;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Check(dnnl_reorder_primitive_desc_create(&reorder_desc, &plain, engine,
                                               &part.desc, engine, nullptr),
            "dnnl_reorder_primitive_desc_create"));
  const PrimitiveDesc owned_desc(reorder_desc);
  dnnl_primitive_t reorder = nullptr;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Check(dnnl_primitive_create(&reorder, reorder_desc),
            "dnnl_primitive_create (reorder)"));
  const Primitive owned(reorder);
  Memory from;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(Wrap(plain, src, &from));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Wrap(part.desc, part.data.get(), &part.memory));
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from.get()},
                                       {DNNL_ARG_TO, part.memory.get()}};
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Check(dnnl_primitive_execute(reorder, stream, 2, arguments),
            "dnnl_primitive_execute (reorder)"));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Check(dnnl_stream_wait(stream), "dnnl_stream_wait"));
  parts_.push_back(std::move(part));
  return Status::Ok();
}

void PackedMatrix::FindBlocks() {
  if (!kernels::HasVnniProduct()) return;
  const Packed& part = parts_[0];
  const dnnl_blocking_desc_t& blocking = part.desc.format_desc.blocking;
  // 16 times 4 of K, the outputs of a block between them.
  constexpr dnnl_dim_t kSizes[] = {16, kernels::kBlockOutputs, 4};
  constexpr dnnl_dim_t kDims[] = {0, 1, 0};
  if (part.desc.format_kind != dnnl_blocked || part.desc.offset0 != 0 ||
      blocking.inner_nblks != 3 ||
      !std::equal(kSizes, kSizes + 3, blocking.inner_blks) ||
      !std::equal(kDims, kDims + 3, blocking.inner_idxs) ||
      blocking.strides[0] != kSizes[0] * kSizes[1] * kSizes[2]) {
    return;
  }
  blocks_.codes = reinterpret_cast<const int8_t*>(part.data.get());
  blocks_.block_bytes = blocking.strides[1];
  blocks_.k = k_;
}

Status PackedMatrix::Pack(const int8_t* src, int64_t k, int64_t n, Order order,
                          std::shared_ptr<const PackedMatrix>* packed) {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(CheckSize("K", k, 1));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(CheckSize("N", n, 1));
  std::shared_ptr<PackedMatrix> result(new PackedMatrix(k, n, order));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(result->SumColumns(src));
  const int64_t count = k * n;
  if (kernels::UseScalarReference()) {
    result->plain_.assign(src, src + count);
    *packed = std::move(result);
    return Status::Ok();
  }
  dnnl_engine_t engine;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(GetEngine(&engine));
  if (HasVnni() || std::all_of(src, src + count, [](int w) {
        return std::abs(w) <= kLargestUnsaturatedWeight;
      })) {
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(result->AddPart(src));
    result->FindBlocks();
  } else {
    std::vector<int8_t> part(count);
    std::transform(src, src + count, part.begin(),
                   [](int w) { return static_cast<int8_t>(w >> 1); });
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(result->AddPart(part.data()));
    std::transform(src, src + count, part.begin(),
                   [](int w) { return static_cast<int8_t>(w & 1); });
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(result->AddPart(part.data()));
  }
  *packed = std::move(result);
  return Status::Ok();
}

std::size_t PackedMatrix::bytes() const {
  std::size_t bytes = plain_.size();
  for (const Packed& part : parts_) {
    bytes += dnnl_memory_desc_get_size(&part.desc);
  }
  return bytes;
}

Status PackedMatrix::CheckRows(int64_t m) { return CheckSize("M", m, 0); }

Status PackedMatrix::Multiply(const uint8_t* a, int64_t m, int threads,
                              int32_t* c) const {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(CheckRows(m));
  if (m == 0) return Status::Ok();
  if (parts_.empty()) {
    reference::Multiply(a, plain_.data(), m, k_, n_, order_, c);
    return Status::Ok();
  }
  const ThreadsScope scope(threads);
  std::shared_ptr<const Plan> plan;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      FindPlan({m, k_, n_, threads}, parts_[0].desc, &plan));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      plan->Execute(a, parts_[0].memory.get(), c));
  if (parts_.size() == 1) return Status::Ok();
  const std::size_t count = static_cast<std::size_t>(m) * n_;
  AlignedBytes bytes;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Allocate(count * sizeof(int32_t), &bytes));
  auto* const low = reinterpret_cast<int32_t*>(bytes.get());
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      plan->Execute(a, parts_[1].memory.get(), low));
  for (std::size_t i = 0; i < count; ++i) c[i] = 2 * c[i] + low[i];
  return Status::Ok();
}

Status PackedMatrix::Multiply(const uint8_t* a, int64_t m, int32_t* c) const {
  return Multiply(a, m, MaxThreads(), c);
}

Status PackedMatrix::MultiplySingleThreaded(const uint8_t* a, int64_t m,
                                            int32_t* c) const {
  return Multiply(a, m, 1, c);
}

Status PackedMatrix::ImplementationName(int64_t m, std::string* name) const {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(CheckSize("M", m, 1));
  if (parts_.empty()) {
    *name = "scalar";
    return Status::Ok();
  }
  PrimitiveDesc chosen;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Choose(m, k_, n_, parts_[0].desc, &chosen));
  const char* text = nullptr;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Check(dnnl_primitive_desc_query(chosen.get(), dnnl_query_impl_info_str, 0,
                                      &text),
            "dnnl_primitive_desc_query"));
  *name = text;
  return Status::Ok();
}

std::size_t NumPlans() { return ThePlans().Size(); }

}  // namespace onednn
}  // namespace caffe2_quantization
