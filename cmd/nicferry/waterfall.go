package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// barWidth is how wide a waterfall is, in characters.
const barWidth = 40

// waterfall adds a line for each step of a NIC's way: when it began after the
// first one, how long it took, and both as a bar.
func (s *sheet) waterfall(steps []api.StepTime) {
	if len(steps) == 0 {
		return
	}
	last := steps[len(steps)-1]
	total := last.Start + last.Took
	s.section("Waterfall")
	for _, step := range steps {
		s.field(string(step.Name), fmt.Sprintf("+%.3fs  %s  |%s|", step.Start, padded(fmt.Sprintf("%.3fs", step.Took), 9), bar(step, total)))
	}
	if last.Name == nic.StepBound {
		s.field("in all", fmt.Sprintf("%.3fs", total))
		return
	}
	s.field("so far", fmt.Sprintf("%.3fs, and %s since", total, age(s.now, last.At)))
}

// bar is a step's part of the whole. What took time is seen, however little.
func bar(step api.StepTime, total float64) string {
	at := func(seconds float64) int {
		if total <= 0 {
			return 0
		}
		return min(barWidth, max(0, int(math.Round(seconds/total*barWidth))))
	}
	from, to := at(step.Start), at(step.Start+step.Took)
	if from == to && step.Took > 0 {
		from, to = min(from, barWidth-1), min(from, barWidth-1)+1
	}
	return strings.Repeat(" ", from) + strings.Repeat("#", to-from) + strings.Repeat(" ", barWidth-to)
}

func padded(s string, width int) string { return fmt.Sprintf("%*s", width, s) }
