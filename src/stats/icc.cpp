// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <vector>

#include <Eigen/Core>
#include <boost/math/distributions/fisher_f.hpp>

#include <sp2dpo/stats/agreement.hpp>

namespace sp2dpo::stats {

namespace {

Eigen::MatrixXd complete_rows(const Ratings& ratings) {
  const auto k = ratings.n_raters();
  Eigen::MatrixXd rows(ratings.n_units(), k);
  Eigen::Index n = 0;
  for (std::size_t unit = 0; unit < ratings.n_units(); ++unit) {
    std::size_t rater = 0;
    for (; rater < k; ++rater) {
      const auto value = ratings.at(unit, rater);
      if (!value) break;
      rows(n, static_cast<Eigen::Index>(rater)) = *value;
    }
    n += rater == k;
  }
  rows.conservativeResize(n, Eigen::NoChange);
  return rows;
}

double quantile_975(double df1, double df2) {
  return boost::math::quantile(boost::math::fisher_f(df1, df2), 0.975);
}

Estimate ratio(double above, double below, std::int64_t n) {
  if (!(below > 0))
    return Estimate::undefined("the values lack the variance that this form divides by", n);
  return Estimate::of(above / below, n);
}

/// Sets the intervals of forms 1 and 3, where `f` has df1 and df2 degrees of freedom.
void set_interval(Estimate& single, Estimate& mean, double f, double df1, double df2, double k) {
  const double low = f / quantile_975(df1, df2);
  const double high = f * quantile_975(df2, df1);
  if (!(low > 0) || !std::isfinite(high)) return;
  if (single.value) single.ci = Interval{(low - 1) / (low + k - 1), (high - 1) / (high + k - 1)};
  if (mean.value) mean.ci = Interval{1 - 1 / low, 1 - 1 / high};
}

}  // namespace

Icc icc(const Ratings& ratings) {
  const Eigen::MatrixXd all = complete_rows(ratings);
  const auto units = static_cast<std::int64_t>(all.rows());
  Icc result;
  const auto undefined = [&](const char* reason) {
    result.single.fill(Estimate::undefined(reason, units));
    result.mean.fill(Estimate::undefined(reason, units));
    return result;
  };
  if (all.cols() < 2) return undefined("fewer than two raters");
  if (all.rows() < 2) return undefined("every rater rated fewer than two common units");

  // Relative to the first value, so that equal values give sums of squares of exactly 0.
  const Eigen::ArrayXXd x = all.array() - all(0, 0);
  const double n = static_cast<double>(x.rows()), k = static_cast<double>(x.cols());
  const double mean = x.mean();
  const Eigen::ArrayXd row_means = x.rowwise().mean();
  const Eigen::ArrayXd column_means = x.colwise().mean().transpose();
  const double total = (x - mean).square().sum();
  if (!(total > 0)) return undefined("only one value occurs");
  // Treats a remainder of rounding as zero variance.
  const auto clean = [&](double sum) { return sum > 1e-14 * total ? sum : 0.0; };
  const double rows = clean(k * (row_means - mean).square().sum());
  const double columns = clean(n * (column_means - mean).square().sum());
  const double within = clean((x.colwise() - row_means).square().sum());
  const Eigen::ArrayXXd residuals =
      (x.colwise() - row_means).rowwise() - (column_means - mean).transpose();
  const double msr = rows / (n - 1);
  const double msc = columns / (k - 1);
  const double mse = clean(residuals.square().sum()) / ((n - 1) * (k - 1));
  const double msw = within / (n * (k - 1));

  result.single = {ratio(msr - msw, msr + (k - 1) * msw, units),
                   ratio(msr - mse, msr + (k - 1) * mse + k * (msc - mse) / n, units),
                   ratio(msr - mse, msr + (k - 1) * mse, units)};
  result.mean = {ratio(msr - msw, msr, units), ratio(msr - mse, msr + (msc - mse) / n, units),
                 ratio(msr - mse, msr, units)};

  if (msw > 0) set_interval(result.single[0], result.mean[0], msr / msw, n - 1, n * (k - 1), k);
  if (!(mse > 0)) return result;
  set_interval(result.single[2], result.mean[2], msr / mse, n - 1, (n - 1) * (k - 1), k);
  if (!result.single[1].value) return result;

  const double r = *result.single[1].value, fc = msc / mse;
  const double rest = n * (1 + (k - 1) * r) - k * r;
  const double v = (k - 1) * (n - 1) * std::pow(k * r * fc + rest, 2) /
                   ((n - 1) * std::pow(k * r * fc, 2) + rest * rest);
  if (!(v > 0) || !std::isfinite(v)) return result;
  const double a = quantile_975(n - 1, v), b = quantile_975(v, n - 1);
  const double spread = k * msc + (k * n - k - n) * mse;
  const double low = n * (msr - a * mse) / (a * spread + n * msr);
  const double high = n * (b * msr - mse) / (spread + n * b * msr);
  if (!std::isfinite(low) || !std::isfinite(high)) return result;
  result.single[1].ci = Interval{low, high};
  // The Spearman-Brown step up to the mean has a pole at -1 / (k - 1).
  if (result.mean[1].value && 1 + (k - 1) * low > 0)
    result.mean[1].ci = Interval{k * low / (1 + (k - 1) * low), k * high / (1 + (k - 1) * high)};
  return result;
}

}  // namespace sp2dpo::stats
