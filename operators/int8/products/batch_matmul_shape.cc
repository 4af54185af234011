#include "operators/int8/products/batch_matmul_shape.h"

#include <algorithm>
#include <utility>

#include "operators/enforce.h"

namespace caffe2_quantization {
Status MakeBatchMatMulShape(const std::vector<int64_t>& a,
                            const std::vector<int64_t>& b, bool trans_a,
                            bool trans_b, bool broadcast,
                            BatchMatMulShape* shape) {
  const auto refuse = [&](const auto&... expected) {
    return Refuse("A has the shape ", at::IntArrayRef(a), ", B ",
                  at::IntArrayRef(b), " (trans_a ", trans_a, ", trans_b ",
                  trans_b, ", broadcast ", broadcast, "), expected ",
                  expected...);
  };
  if (!broadcast && (a.size() != b.size() || a.size() < 2)) {
    return refuse("as many dimensions of both, 2 or more, without broadcast");
  }
  if (a.empty() || b.empty()) return refuse("1 or more dimensions of both");
  const bool a_is_vector = a.size() == 1, b_is_vector = b.size() == 1;
  if (a_is_vector != b_is_vector &&
      ((a_is_vector && trans_a) || (b_is_vector && trans_b))) {
    return refuse("no transposition of a vector");
  }

  BatchMatMulShape result;
  std::vector<int64_t> a_matrix = a, b_matrix = b;
  if (a_is_vector) a_matrix = {1, a[0]};
  if (b_is_vector) b_matrix = {b[0], 1};
  const bool both_are_vectors = a_is_vector && b_is_vector;
  if (trans_a && !both_are_vectors) {
    std::swap(a_matrix.end()[-1], a_matrix.end()[-2]);
  }
  if (trans_b && !both_are_vectors) {
    std::swap(b_matrix.end()[-1], b_matrix.end()[-2]);
  }
  result.m = a_matrix.end()[-2];
  result.k = a_matrix.end()[-1];
  result.n = b_matrix.end()[-1];
  if (b_matrix.end()[-2] != result.k) {
    return refuse("the same K, which is ", result.k, " of A and ",
                  b_matrix.end()[-2], " of B");
  }
  const std::size_t a_outer = a_matrix.size() - 2;
  const std::size_t b_outer = b_matrix.size() - 2;
  for (std::size_t i = 1; i <= std::min(a_outer, b_outer); ++i) {
    const int64_t a_size = a_matrix[a_outer - i];
    const int64_t b_size = b_matrix[b_outer - i];
    if (a_size != b_size) {
      return refuse("the same dimensions before the matrices, where A has ",
                    a_size, " and B ", b_size);
    }
  }
  result.a_batches = c10::size_to_dim_(a_outer, a_matrix);
  result.b_batches = c10::size_to_dim_(b_outer, b_matrix);
  const auto& longer = a_outer >= b_outer ? a_matrix : b_matrix;
  result.y.assign(longer.begin(), longer.end() - 2);
  result.batches = c10::multiply_integers(result.y);
  if (!a_is_vector) result.y.push_back(result.m);
  if (!b_is_vector) result.y.push_back(result.n);
  if (both_are_vectors) result.y = {1};
  if (result.k == 0 && result.batches * result.m * result.n > 0) {
    return refuse("a K of 1 or more");
  }
  // One B for all of A: one product of more rows.
  if (result.b_batches == 1 && !trans_a) {
    result.m *= result.batches;
    result.a_batches = result.batches = 1;
  }
  *shape = std::move(result);
  return Status::Ok();
}

}  // namespace caffe2_quantization
