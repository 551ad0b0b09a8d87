// Package figures keeps measured values in a file and computes from them.
package figures

import (
	"math/rand/v2"
	"slices"
)

// Quantile is the smallest value that at least the part q of the values does
// not exceed; 0 of none. sorted must be.
func Quantile(sorted []int64, q float64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	at := int(q * float64(len(sorted)))
	if float64(at) == q*float64(len(sorted)) {
		at--
	}
	return sorted[min(max(at, 0), len(sorted)-1)]
}

// Median is the quantile at a half, of values in any order.
func Median(values []int64) int64 { return Quantile(slices.Sorted(slices.Values(values)), 0.5) }

// resamples of a bootstrap.
const resamples = 2000

// An Interval holds the true value with 95 % confidence.
type Interval struct{ Low, High float64 }

// Bootstrap says how sure a value is that is computed from both sides of the
// same rounds: it draws rounds with replacement, and computes from those. a and b are of the same rounds, in the same order: what
// disturbed a round disturbed both. It always draws the same.
func Bootstrap(a, b []int64, compute func(a, b []int64) float64) Interval {
	if len(a) == 0 || len(a) != len(b) {
		return Interval{}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	results := make([]float64, resamples)
	x, y := make([]int64, len(a)), make([]int64, len(b))
	for i := range results {
		for j := range x {
			k := rng.IntN(len(a))
			x[j], y[j] = a[k], b[k]
		}
		results[i] = compute(x, y)
	}
	slices.Sort(results)
	return Interval{results[resamples*25/1000], results[resamples*975/1000]}
}

// Ratio is that of the medians.
func Ratio(a, b []int64) float64 { return float64(Median(a)) / float64(max(Median(b), 1)) }

// Difference is that of the medians.
func Difference(a, b []int64) float64 { return float64(Median(a) - Median(b)) }

// Slope is by how much values grow from one to the next, by least squares.
func Slope(values []int64) float64 {
	if len(values) < 2 {
		return 0
	}
	middle, mean := float64(len(values)-1)/2, 0.0
	for _, v := range values {
		mean += float64(v) / float64(len(values))
	}
	var up, across float64
	for i, v := range values {
		up += (float64(i) - middle) * (float64(v) - mean)
		across += (float64(i) - middle) * (float64(i) - middle)
	}
	return up / across
}
