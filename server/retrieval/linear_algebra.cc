#include "server/retrieval/linear_algebra.h"

#include <cblas.h>
#include <omp.h>

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

// LAPACK as OpenBLAS exports it; Debian keeps the C header for it in another package.
extern "C" {
void sgelqf_(const int* m, const int* n, float* a, const int* lda, float* tau, float* work,
             const int* lwork, int* info);
void sorglq_(const int* m, const int* n, const int* k, float* a, const int* lda, const float* tau,
             float* work, const int* lwork, int* info);
}

namespace aibackend::retrieval {
namespace {

constexpr size_t kOversample = 16;
constexpr int kPowerIterations = 2;
constexpr uint64_t kSeed = 20110608;

// Singular values below this share of the first are noise of single precision.
constexpr double kRankTolerance = 1e-3;

// a * x
Matrix Multiply(const SparseMatrix& a, const Matrix& x) {
  Matrix y(a.rows(), x.columns);
  for (size_t i = 0; i < a.rows(); ++i) {
    for (size_t j = a.row_starts[i]; j < a.row_starts[i + 1]; ++j) {
      cblas_saxpy(static_cast<int>(x.columns), a.values[j], x.row(a.column_of[j]), 1, y.row(i), 1);
    }
  }
  return y;
}

// transpose(a) * x
Matrix MultiplyTransposed(const SparseMatrix& a, const Matrix& x) {
  Matrix y(a.columns, x.columns);
  for (size_t i = 0; i < a.rows(); ++i) {
    for (size_t j = a.row_starts[i]; j < a.row_starts[i + 1]; ++j) {
      cblas_saxpy(static_cast<int>(x.columns), a.values[j], x.row(i), 1, y.row(a.column_of[j]), 1);
    }
  }
  return y;
}

// Replaces the columns of `y` (rows >= columns) by an orthonormal basis of their span. Stored by
// rows, y is to LAPACK its own transpose, so the LQ decomposition does what QR would.
void Orthonormalise(Matrix& y) {
  const auto m = static_cast<int>(y.columns);
  const auto n = static_cast<int>(y.rows);
  std::vector<float> tau(y.columns);
  const int block = 64 * m;
  std::vector<float> work(static_cast<size_t>(block));
  int info = 0;
  sgelqf_(&m, &n, y.values.data(), &m, tau.data(), work.data(), &block, &info);
  sorglq_(&m, &n, &m, y.values.data(), &m, tau.data(), work.data(), &block, &info);
}

Matrix GaussianMatrix(size_t rows, size_t columns) {
  Matrix m(rows, columns);
  std::mt19937_64 random(kSeed);
  std::normal_distribution<float> normal;
  for (float& value : m.values) value = normal(random);
  return m;
}

// The left singular vectors of b (rows >= columns), leading `k`, from the eigenvectors of
// transpose(b) * b.
Matrix LeadingLeftVectors(const Matrix& b, size_t k) {
  const size_t size = b.columns;
  std::vector<float> gram(size * size);
  cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, static_cast<int>(size),
              static_cast<int>(b.rows), 1, b.values.data(), static_cast<int>(size), 0, gram.data(),
              static_cast<int>(size));
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto order = static_cast<Eigen::Index>(size);
  const Eigen::MatrixXd symmetric =
      Eigen::Map<const RowMajor>(gram.data(), order, order).cast<double>();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(symmetric);  // reads the lower half
  const double greatest = std::sqrt(std::max(solver.eigenvalues()[order - 1], 0.0));

  size_t rank = 0;
  std::vector<float> rotation;  // size x rank, by columns
  for (Eigen::Index i = order - 1; i >= 0 && rank < k; --i, ++rank) {
    const double sigma = std::sqrt(std::max(solver.eigenvalues()[i], 0.0));
    if (sigma <= kRankTolerance * greatest) break;
    for (Eigen::Index j = 0; j < order; ++j) {
      rotation.push_back(static_cast<float>(solver.eigenvectors()(j, i) / sigma));
    }
  }
  Matrix vectors(b.rows, rank);
  if (rank > 0) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<int>(b.rows),
                static_cast<int>(rank), static_cast<int>(size), 1, b.values.data(),
                static_cast<int>(size), rotation.data(), static_cast<int>(size), 0,
                vectors.values.data(), static_cast<int>(rank));
  }
  return vectors;
}

}  // namespace

void UseOneMathThread() {
  openblas_set_num_threads(1);
  omp_set_num_threads(1);
}

bool Normalise(float* vector, size_t size) {
  const float length = cblas_snrm2(static_cast<int>(size), vector, 1);
  if (!(length > 1e-12F)) return false;
  cblas_sscal(static_cast<int>(size), 1 / length, vector, 1);
  return true;
}

Matrix RightSingularVectors(const SparseMatrix& a, size_t k) {
  const size_t size = std::min(k + kOversample, std::min(a.rows(), a.columns));
  if (size == 0) return Matrix(a.columns, 0);
  Matrix y = Multiply(a, GaussianMatrix(a.columns, size));
  for (int i = 0; i < kPowerIterations; ++i) {
    Orthonormalise(y);
    Matrix z = MultiplyTransposed(a, y);
    Orthonormalise(z);
    y = Multiply(a, z);
  }
  Orthonormalise(y);
  return LeadingLeftVectors(MultiplyTransposed(a, y), k);
}

}  // namespace aibackend::retrieval
