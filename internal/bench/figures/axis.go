package figures

import (
	"fmt"
	"math"
	"strings"
)

// Ticks is a round distance between five to ten lines up to top.
func Ticks(top float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(top/5)))
	for _, times := range []float64{1, 2, 5, 10} {
		if top/(step*times) <= 8 {
			return step * times
		}
	}
	return step * 10
}

// Label is a number at such a line.
func Label(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.4g", v), ".0") }
