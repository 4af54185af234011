#include "quantization/onednn/matmul.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <mutex>
#include <numeric>
#include <utility>

#include "base/process.h"
#include "base/return_if_error.h"
#include "quantization/kernels/isa.h"
#include "quantization/onednn/parallel.h"
#include "quantization/onednn/runtime.h"
#include "quantization/onednn/scratch.h"

namespace caffe2_quantization {
namespace onednn {
namespace {

constexpr int64_t kLargestSize = std::numeric_limits<int32_t>::max();
// Where pieces begin: multiples of what any form of the weights takes at once.
constexpr int64_t kPieceMultiple = 64;
static_assert(kMostSummed * 255 * 128 <= std::numeric_limits<int32_t>::max(),
              "sums of a piece fit into 32 bits");
// With AMX oneDNN 2.6.3 gives wrong sums, or ends the process by an illegal
// instruction, for some M and N where K is 125 to 127, which it fills up
// itself; of 8,000 shapes whose K was a multiple of 4 none was wrong. So K is
// filled up before.
constexpr int64_t kAmxKMultiple = 4;
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
  RETURN_IF_ERROR(GetEngine(&engine));
  dnnl_memory_desc_t a, c;
  RETURN_IF_ERROR(Desc(m, k, dnnl_u8, dnnl_ab, &a));
  RETURN_IF_ERROR(Desc(m, n, dnnl_s32, dnnl_ab, &c));
  dnnl_matmul_desc_t product;
  RETURN_IF_ERROR(
      Check(dnnl_matmul_desc_init(&product, &a, &weights, nullptr, &c),
            "dnnl_matmul_desc_init"));
  dnnl_primitive_attr_t made = nullptr;
  RETURN_IF_ERROR(
      Check(dnnl_primitive_attr_create(&made), "dnnl_primitive_attr_create"));
  const Attributes attributes(made);
  // oneDNN's own intermediate memory is not for several threads at once.
  RETURN_IF_ERROR(Check(
      dnnl_primitive_attr_set_scratchpad_mode(made, dnnl_scratchpad_mode_user),
      "dnnl_primitive_attr_set_scratchpad_mode"));
  dnnl_primitive_desc_t chosen = nullptr;
  const std::lock_guard<std::mutex> lock(MakingMutex());
  RETURN_IF_ERROR(Check(
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
    RETURN_IF_ERROR(Take(&operands));
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
    RETURN_IF_ERROR(Allocate(dnnl_memory_desc_get_size(&scratch_),
                             &operands->scratch_bytes));
    RETURN_IF_ERROR(
        Wrap(scratch_, operands->scratch_bytes.get(), &operands->scratch));
    RETURN_IF_ERROR(Wrap(a_, DNNL_MEMORY_NONE, &operands->a));
    return Wrap(c_, DNNL_MEMORY_NONE, &operands->c);
  }

  Status Execute(const Operands& operands, const uint8_t* a, dnnl_memory_t w,
                 int32_t* c) const {
    dnnl_stream_t stream;
    RETURN_IF_ERROR(GetStream(&stream));
    RETURN_IF_ERROR(
        Check(dnnl_memory_set_data_handle_v2(operands.a.get(),
                                             const_cast<uint8_t*>(a), stream),
              "dnnl_memory_set_data_handle_v2"));
    RETURN_IF_ERROR(
        Check(dnnl_memory_set_data_handle_v2(operands.c.get(), c, stream),
              "dnnl_memory_set_data_handle_v2"));
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, operands.a.get()},
        {DNNL_ARG_WEIGHTS, w},
        {DNNL_ARG_DST, operands.c.get()},
        {DNNL_ARG_SCRATCHPAD, operands.scratch.get()}};
    RETURN_IF_ERROR(
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
  static PerProcess<PlanCache> plans;
  return plans.Get();
}

Status MakePlan(const PlanKey& key, const dnnl_memory_desc_t& weights,
                std::shared_ptr<const Plan>* result) {
  PrimitiveDesc chosen;
  RETURN_IF_ERROR(Choose(key[0], key[1], key[2], weights, &chosen));
  dnnl_primitive_t made = nullptr;
  {
    const std::lock_guard<std::mutex> lock(MakingMutex());
    RETURN_IF_ERROR(Check(dnnl_primitive_create(&made, chosen.get()),
                          "dnnl_primitive_create (matmul)"));
  }
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
  RETURN_IF_ERROR(MakePlan(key, weights, plan));
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
    : k_(k), packed_k_(k), n_(n), order_(order), column_sums_(n) {}

PackedMatrix::~PackedMatrix() = default;

void PackedMatrix::SumColumns(const int8_t* src) {
  if (order_ == Order::kRowsOfN) {
    for (int64_t j = 0; j < n_; ++j) {
      const int8_t* const row = src + j * k_;
      column_sums_[j] = std::accumulate(row, row + k_, int32_t{0});
    }
    return;
  }
  std::vector<int32_t> sums(n_);
  for (int64_t i = 0; i < k_; ++i) {
    for (int64_t j = 0; j < n_; ++j) sums[j] += src[i * n_ + j];
  }
  std::copy(sums.begin(), sums.end(), column_sums_.begin());
}

const int8_t* PackedMatrix::PadK(const int8_t* src,
                                 std::vector<int8_t>* padded) {
  packed_k_ = (k_ + kAmxKMultiple - 1) / kAmxKMultiple * kAmxKMultiple;
  padded->resize(packed_k_ * n_);
  const bool rows_of_n = order_ == Order::kRowsOfN;
  const int64_t rows = rows_of_n ? n_ : 1;
  const int64_t count = rows_of_n ? k_ : k_ * n_;
  for (int64_t i = 0; i < rows; ++i) {
    std::copy_n(src + i * count, count, padded->begin() + i * packed_k_);
  }
  return padded->data();
}

Status PackedMatrix::AddPart(const int8_t* src) {
  const ThreadsScope scope(MaxThreads());
  Packed part;
  PrimitiveDesc chosen;
  dnnl_memory_desc_t any, plain;
  RETURN_IF_ERROR(Desc(packed_k_, n_, dnnl_s8, dnnl_format_tag_any, &any));
  RETURN_IF_ERROR(Desc(packed_k_, n_, dnnl_s8,
                       order_ == Order::kRowsOfK ? dnnl_ab : dnnl_ba, &plain));
  RETURN_IF_ERROR(Choose(1, packed_k_, n_, any, &chosen));
  part.desc =
      *dnnl_primitive_desc_query_md(chosen.get(), dnnl_query_weights_md, 0);
  RETURN_IF_ERROR(Allocate(dnnl_memory_desc_get_size(&part.desc), &part.data));

  dnnl_engine_t engine;
  dnnl_stream_t stream;
  RETURN_IF_ERROR(GetEngine(&engine));
  RETURN_IF_ERROR(GetStream(&stream));
  std::unique_lock<std::mutex> making(MakingMutex());
  dnnl_primitive_desc_t reorder_desc = nullptr;
  RETURN_IF_ERROR(
      Check(dnnl_reorder_primitive_desc_create(&reorder_desc, &plain, engine,
                                               &part.desc, engine, nullptr),
            "dnnl_reorder_primitive_desc_create"));
  const PrimitiveDesc owned_desc(reorder_desc);
  dnnl_primitive_t reorder = nullptr;
  RETURN_IF_ERROR(Check(dnnl_primitive_create(&reorder, reorder_desc),
                        "dnnl_primitive_create (reorder)"));
  const Primitive owned(reorder);
  making.unlock();
  Memory from;
  RETURN_IF_ERROR(Wrap(plain, src, &from));
  RETURN_IF_ERROR(Wrap(part.desc, part.data.get(), &part.memory));
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from.get()},
                                       {DNNL_ARG_TO, part.memory.get()}};
  RETURN_IF_ERROR(Check(dnnl_primitive_execute(reorder, stream, 2, arguments),
                        "dnnl_primitive_execute (reorder)"));
  RETURN_IF_ERROR(Check(dnnl_stream_wait(stream), "dnnl_stream_wait"));
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
  has_blocks_ = true;
}

Status PackedMatrix::PackPieces(const int8_t* src) {
  // They are of about the same size, each at most a multiple above the average.
  constexpr int64_t kMost = kMostSummed - kPieceMultiple;
  const int64_t count = (k_ + kMost - 1) / kMost;
  const bool rows_of_n = order_ == Order::kRowsOfN;
  std::vector<int8_t> own;
  int64_t first = 0;
  for (int64_t i = 1; i <= count; ++i) {
    const int64_t end =
        i == count ? k_ : k_ * i / count / kPieceMultiple * kPieceMultiple;
    const int64_t k = end - first;
    const int8_t* codes = src + first * n_;
    if (rows_of_n) {
      own.resize(k * n_);
      for (int64_t j = 0; j < n_; ++j) {
        std::copy_n(src + j * k_ + first, k, own.begin() + j * k);
      }
      codes = own.data();
    }
    std::shared_ptr<const PackedMatrix> piece;
    RETURN_IF_ERROR(Pack(codes, k, n_, order_, &piece));
    std::transform(piece->column_sums_.begin(), piece->column_sums_.end(),
                   column_sums_.begin(), column_sums_.begin(), std::plus<>());
    pieces_.push_back(std::move(piece));
    first = end;
  }
  has_blocks_ =
      std::all_of(pieces_.begin(), pieces_.end(),
                  [](const auto& piece) { return piece->has_blocks_; });
  return Status::Ok();
}

Status PackedMatrix::Pack(const int8_t* src, int64_t k, int64_t n, Order order,
                          std::shared_ptr<const PackedMatrix>* packed) {
  RETURN_IF_ERROR(CheckSize("K", k, 1));
  RETURN_IF_ERROR(CheckSize("N", n, 1));
  std::shared_ptr<PackedMatrix> result(new PackedMatrix(k, n, order));
  if (k > kMostSummed) {
    RETURN_IF_ERROR(result->PackPieces(src));
    *packed = std::move(result);
    return Status::Ok();
  }
  result->SumColumns(src);
  if (kernels::UseScalarReference()) {
    result->plain_.assign(src, src + k * n);
    *packed = std::move(result);
    return Status::Ok();
  }
  dnnl_engine_t engine;
  RETURN_IF_ERROR(GetEngine(&engine));
  std::vector<int8_t> padded;
  if (HasAmx() && k % kAmxKMultiple != 0) {
    src = result->PadK(src, &padded);
  }
  const int64_t count = result->packed_k_ * n;
  if (HasVnni() || std::all_of(src, src + count, [](int w) {
        return std::abs(w) <= kLargestUnsaturatedWeight;
      })) {
    RETURN_IF_ERROR(result->AddPart(src));
    result->FindBlocks();
  } else {
    std::vector<int8_t> part(count);
    std::transform(src, src + count, part.begin(),
                   [](int w) { return static_cast<int8_t>(w >> 1); });
    RETURN_IF_ERROR(result->AddPart(part.data()));
    std::transform(src, src + count, part.begin(),
                   [](int w) { return static_cast<int8_t>(w & 1); });
    RETURN_IF_ERROR(result->AddPart(part.data()));
  }
  *packed = std::move(result);
  return Status::Ok();
}

std::size_t PackedMatrix::bytes() const {
  std::size_t bytes = plain_.size();
  for (const auto& piece : pieces_) bytes += piece->bytes();
  for (const Packed& part : parts_) {
    bytes += dnnl_memory_desc_get_size(&part.desc);
  }
  return bytes;
}

Status PackedMatrix::CheckRows(int64_t m) { return CheckSize("M", m, 0); }

Status PackedMatrix::Multiply(const uint8_t* a, int64_t m, int64_t a_stride,
                              int threads, int32_t* c) const {
  RETURN_IF_ERROR(CheckRows(m));
  if (!pieces_.empty()) {
    return Status::OutOfRange(
        "matrix product: K is " + std::to_string(k_) + ", expected at most " +
        std::to_string(kMostSummed) + " for sums of 32 bits");
  }
  if (m == 0) return Status::Ok();
  if (parts_.empty()) {
    reference::Multiply(a, plain_.data(), m, k_, a_stride, n_, order_, c);
    return Status::Ok();
  }
  thread_local Scratch scratch;
  if (packed_k_ != k_ || (a_stride != k_ && m > 1)) {
    uint8_t* rows = nullptr;
    RETURN_IF_ERROR(
        scratch.Get(static_cast<std::size_t>(m) * packed_k_, &rows));
    for (int64_t i = 0; i < m; ++i) {
      uint8_t* const row = rows + i * packed_k_;
      std::copy_n(a + i * a_stride, k_, row);
      std::fill(row + k_, row + packed_k_, uint8_t{0});
    }
    a = rows;
  }
  const ThreadsScope scope(threads);
  std::shared_ptr<const Plan> plan;
  RETURN_IF_ERROR(FindPlan({m, packed_k_, n_, threads}, parts_[0].desc, &plan));
  RETURN_IF_ERROR(plan->Execute(a, parts_[0].memory.get(), c));
  if (parts_.size() == 1) {
    scratch.GiveBack();
    return Status::Ok();
  }
  const std::size_t count = static_cast<std::size_t>(m) * n_;
  AlignedBytes bytes;
  RETURN_IF_ERROR(Allocate(count * sizeof(int32_t), &bytes));
  auto* const low = reinterpret_cast<int32_t*>(bytes.get());
  RETURN_IF_ERROR(plan->Execute(a, parts_[1].memory.get(), low));
  for (std::size_t i = 0; i < count; ++i) c[i] = 2 * c[i] + low[i];
  scratch.GiveBack();
  return Status::Ok();
}

Status PackedMatrix::Multiply(const uint8_t* a, int64_t m, int64_t* c) const {
  RETURN_IF_ERROR(CheckRows(m));
  if (m == 0) return Status::Ok();
  const std::size_t count = static_cast<std::size_t>(m) * n_;
  std::fill_n(c, count, 0);
  AlignedBytes bytes;
  RETURN_IF_ERROR(Allocate(count * sizeof(int32_t), &bytes));
  auto* const sums = reinterpret_cast<int32_t*>(bytes.get());
  const auto add = [&](const PackedMatrix& piece, int64_t first) -> Status {
    RETURN_IF_ERROR(piece.Multiply(a + first, m, k_, MaxThreads(), sums));
    for (std::size_t i = 0; i < count; ++i) c[i] += sums[i];
    return Status::Ok();
  };
  if (pieces_.empty()) return add(*this, 0);
  int64_t first = 0;
  for (const auto& piece : pieces_) {
    RETURN_IF_ERROR(add(*piece, first));
    first += piece->k_;
  }
  return Status::Ok();
}

Status PackedMatrix::ImplementationName(int64_t m, std::string* name) const {
  RETURN_IF_ERROR(CheckSize("M", m, 1));
  if (!pieces_.empty()) return pieces_[0]->ImplementationName(m, name);
  if (parts_.empty()) {
    *name = "scalar";
    return Status::Ok();
  }
  PrimitiveDesc chosen;
  RETURN_IF_ERROR(Choose(m, packed_k_, n_, parts_[0].desc, &chosen));
  const char* text = nullptr;
  RETURN_IF_ERROR(Check(dnnl_primitive_desc_query(
                            chosen.get(), dnnl_query_impl_info_str, 0, &text),
                        "dnnl_primitive_desc_query"));
  *name = text;
  return Status::Ok();
}

std::size_t NumPlans() { return ThePlans().Size(); }

}  // namespace onednn
}  // namespace caffe2_quantization
