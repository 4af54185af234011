// Int8GivenPackedWeightFill: fills a blob with weights that the NetDef carries
// as int8 codes, with a scale for each output, in the form in which products of
// the engine ONEDNN multiply by them: what Int8FCPackWeight and
// Int8ConvPackWeight make of floats, without the floats.
//
//   -> W_packed    a PackedFcWeights (fc_weights.h) for the order FC, else a
//                  PackedConvWeights (conv_weights.h) for convolutions of that
//                  order
//
// Arguments: netdef/given_weights.h. It has no engine of its own, since there
// is one kind of packed weights: every suffix of ONEDNN that takes packed
// weights takes these.
//
// Memory: beside the packed form no copy is kept. The codes stay in the NetDef
// as long as that lives, which is until the init net is deleted; RunNetOnce
// deletes it. Signed codes are packed from where they stand.
#include <memory>
#include <utility>
#include <vector>

#include "base/return_if_error.h"
#include "caffe2/core/blob_serializer_base.h"
#include "netdef/given_weights.h"
#include "operators/enforce.h"
#include "operators/int8/products/conv_weights.h"
#include "operators/int8/products/fc_weights.h"
#include "operators/int8/products/shared_weights.h"
#include "operators/registration.h"

namespace caffe2_quantization {
namespace {

// From an unsigned code to a signed one.
constexpr int32_t kMiddle = 128;
// In a key, where other weights have their number of rows.
constexpr int64_t kGivenCodes = -1;

class Int8GivenPackedWeightFillOp final
    : public caffe2::Operator<caffe2::CPUContext> {
 public:
  Int8GivenPackedWeightFillOp(const caffe2::OperatorDef& definition,
                              caffe2::Workspace* workspace)
      : Operator(definition, workspace) {
    EnforceOk(*this, ReadGivenWeights(debug_def(), &given_));
    for (int32_t& zero_point : given_.zero_points) {
      if (!given_.is_signed) zero_point -= kMiddle;
    }
    if (given_.order != GivenWeights::Order::kFc) {
      shape_ = FilterShape();
      EnforceOk(*this, shape_.ValidateFilter(), "argument shape: ");
    }
  }

  bool RunOnDevice() override {
    if (given_.order == GivenWeights::Order::kFc) {
      FillFc();
    } else {
      FillConv();
    }
    return true;
  }

 private:
  onednn::ConvolutionShape FilterShape() const {
    onednn::ConvolutionShape shape;
    const std::vector<int64_t>& sizes = given_.shape;
    shape.channels_first = given_.order == GivenWeights::Order::kNchw;
    shape.batch = 0;
    shape.dims = static_cast<int>(sizes.size()) - 2;
    shape.groups = given_.groups;
    shape.out_channels = sizes[0];
    // Both are at most the number of values, which a string has.
    shape.in_channels =
        sizes[shape.channels_first ? 1 : shape.dims + 1] * given_.groups;
    for (int dim = 0; dim < shape.dims; ++dim) {
      shape.kernel[dim] = sizes[dim + (shape.channels_first ? 2 : 1)];
      shape.input[dim] = shape.kernel[dim];
    }
    return shape;
  }

  // Calls pack(codes, &made) with signed codes, once in a process for the same
  // weights.
  template <typename Made, typename Pack>
  std::shared_ptr<const Made> Share(const Pack& pack) const {
    WeightsKey key;
    key.Add(kGivenCodes);
    key.Add(static_cast<int64_t>(given_.order));
    key.Add(int64_t{given_.is_signed});
    key.Add(int64_t{given_.save_unpacked_weights});
    key.Add(given_.groups);
    key.Add(given_.shape.data(), given_.shape.size() * sizeof(int64_t));
    key.Add(given_.scales.data(), given_.scales.size() * sizeof(float));
    key.Add(given_.zero_points.data(),
            given_.zero_points.size() * sizeof(int32_t));
    key.Add(given_.values.data(), given_.values.size());
    std::shared_ptr<const Made> shared;
    EnforceOk(*this,
              SharedWeightsOfProcess<Made>().GetOrMake(
                  key,
                  [&](std::shared_ptr<const Made>* result) -> Status {
                    auto made = std::make_shared<Made>();
                    made->n = given_.outputs();
                    made->k =
                        static_cast<int64_t>(given_.values.size()) / made->n;
                    made->quantized.scales = given_.scales;
                    made->quantized.zero_points = given_.zero_points;
                    std::vector<int8_t> moved;
                    RETURN_IF_ERROR(pack(SignedCodes(&moved), made.get()));
                    *result = std::move(made);
                    return Status::Ok();
                  },
                  &shared));
    return shared;
  }

  // The codes themselves, or *moved.
  const int8_t* SignedCodes(std::vector<int8_t>* moved) const {
    const char* const values = given_.values.data();
    if (given_.is_signed) return reinterpret_cast<const int8_t*>(values);
    moved->resize(given_.values.size());
    for (std::size_t i = 0; i < moved->size(); ++i) {
      (*moved)[i] =
          static_cast<int8_t>(static_cast<uint8_t>(values[i]) - kMiddle);
    }
    return moved->data();
  }

  void FillFc() {
    PackedFcWeights packed;
    packed.weights = Share<FcWeights<int8_t>>(
        [&](const int8_t* codes, FcWeights<int8_t>* made) {
          return PackMatrix(codes, onednn::PackedMatrix::Order::kRowsOfN,
                            given_.save_unpacked_weights, made);
        });
    if (!given_.bias.empty()) {
      Bias bias;
      bias.is_packed = true;
      bias.codes = given_.bias;
      for (const float scale : given_.scales) {
        bias.units.push_back(given_.in_scale * scale);
      }
      packed.bias = std::make_shared<const Bias>(std::move(bias));
    }
    *OperatorBase::Output<PackedFcWeights>(0) = std::move(packed);
  }

  void FillConv() {
    PackedConvWeights packed;
    packed.weights = Share<ConvWeights<int8_t>>(
        [&](const int8_t* codes, ConvWeights<int8_t>* made) {
          return PackFilter(codes, shape_, made);
        });
    packed.sizes = given_.shape;
    packed.groups = given_.groups;
    packed.channels_first = shape_.channels_first;
    if (given_.save_unpacked_weights) {
      std::vector<int8_t> moved;
      const int8_t* const codes = SignedCodes(&moved);
      packed.codes.assign(codes, codes + given_.values.size());
    }
    if (!given_.bias.empty()) {
      onednn::ProductBias bias;
      bias.codes = given_.bias;
      packed.bias =
          std::make_shared<const onednn::ProductBias>(std::move(bias));
      packed.in_scale = given_.in_scale;
    }
    *OperatorBase::Output<PackedConvWeights>(0) = std::move(packed);
  }

  GivenWeights given_;  // its values stand in the definition
  onednn::ConvolutionShape shape_;
};

// Says what to do in the place of saving packed weights. Their form is for this
// processor and this process.
class PackedWeightsSerializer final : public caffe2::BlobSerializerBase {
 public:
  void Serialize(const void*, caffe2::TypeMeta, const std::string& name,
                 SerializationAcceptor) override {
    CAFFE_THROW("blob '", name,
                "' holds weights packed for this process, which cannot be "
                "saved; expected the init net that makes it, by ",
                kGivenWeightsType, " or an operator that packs weights");
  }
};

template <typename Packed>
void RegisterPackedSerializer() {
  caffe2::BlobSerializerRegistry()->Register(
      caffe2::TypeMeta::Id<Packed>(),
      [] {
        return std::unique_ptr<caffe2::BlobSerializerBase>(
            new PackedWeightsSerializer);
      },
      c10::REGISTRY_PREFERRED);
}

}  // namespace

void RegisterInt8GivenPackedWeightFill() {
  RegisterPackedSerializer<PackedFcWeights>();
  RegisterPackedSerializer<PackedConvWeights>();
  RegisterCpuOperator<Int8GivenPackedWeightFillOp>(kGivenWeightsType);
  RegisterNoGradient(kGivenWeightsType);
  CAFFE2_QUANTIZATION_SCHEMA(kGivenWeightsType)
      .NumInputs(0)
      .NumOutputs(1)
      .TensorInferenceFunction([](const caffe2::OperatorDef& definition,
                                  const std::vector<caffe2::TensorShape>&) {
        // The host has no tensor type for packed weights; their dims are known.
        caffe2::TensorShape shape;
        shape.set_data_type(caffe2::TensorProto::UNDEFINED);
        GivenWeights given;
        const Status status = ReadGivenWeights(definition, &given);
        shape.set_unknown_shape(!status.ok());
        for (const int64_t dim : given.shape) shape.add_dims(dim);
        return std::vector<caffe2::TensorShape>{shape};
      })
      .SetDoc(
          "Weights of FC or of a convolution, by int8 codes and a scale for "
          "each output, packed for the engine ONEDNN.")
      .Arg("order",
           "FC, or the order of a convolution: NHWC or NCHW. Required.")
      .Arg("shape",
           "[N, K...] of FC, [M, kernel..., C / group] of NHWC, [M, C / group, "
           "kernel...] of NCHW. Required.")
      .Arg("group", "Groups of a convolution. Default 1.")
      .Arg("values", "A string of one byte for each code, row major. Required.")
      .Arg("is_signed", "1: the bytes are int8; 0: uint8. Required.")
      .Arg("scales", "One, one per group, or one per output. Required.")
      .Arg("zero_points", "The codes of 0, as many as scales. Required.")
      .Arg("bias",
           "Integers of 32 bits, one per output, in units of in_scale times "
           "the output's scale. Default: none.")
      .Arg("in_scale", "The scale of the product's input; with bias alone.")
      .Arg("save_unpacked_weights",
           "1: keep the codes beside the packed form, for operators that run "
           "the host's float operator too. Default 0.")
      .Output(0, "W_packed",
              "What Int8FCPackWeight or Int8ConvPackWeight of "
              "the engine ONEDNN makes.");
}

}  // namespace caffe2_quantization
