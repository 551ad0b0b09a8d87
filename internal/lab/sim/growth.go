//go:build linux

package sim

import (
	"fmt"
	"time"
)

// MostGrowth is how much more a claim may cost in the largest fleet than in the smallest.
const MostGrowth = 1.2

// Claim is the processor time that a container's start takes, with its share of the
// reserves that are made meanwhile.
func (r Result) Claim() time.Duration {
	if len(r.Spans) == 0 {
		return 0
	}
	return r.Spans[0].CPU / time.Duration(max(r.Nodes*r.PerNode, 1))
}

// Memory is the most that the process had.
func (r Result) Memory() (most uint64) {
	for _, s := range r.Spans {
		most = max(most, s.RSS)
	}
	return most
}

// Growth is what one part of a fleet's cost is in the largest, by what it is in the
// smallest.
type Growth struct {
	From, To           int // nodes
	Claim, Life, Calls float64
}

// Growth is that from the first size to the last.
func (r Report) Growth() Growth {
	if len(r.Sizes) == 0 {
		return Growth{}
	}
	return growth(r.Sizes[0].Result, r.Sizes[len(r.Sizes)-1].Result)
}

func growth(from, to Result) Growth {
	return Growth{
		From: from.Nodes, To: to.Nodes,
		Claim: ratio(to.Claim().Seconds(), from.Claim().Seconds()), Life: ratio(to.Cost().Seconds(), from.Cost().Seconds()), Calls: ratio(to.PerLife(), from.PerLife()),
	}
}

// String is one sentence.
func (g Growth) String() string {
	return fmt.Sprintf("From %d to %d nodes the processor time of a claim becomes %.2f × as much (at most %.1f × is wanted), that of a whole life %.2f ×, and the provider's calls %.2f ×.",
		g.From, g.To, g.Claim, MostGrowth, g.Life, g.Calls)
}

func (r Report) growths() table {
	t := table{
		title: "How the cost grows with the fleet", unit: "× the cost of a claim in the smallest",
		note: r.Growth().String() + " A claim is a container's start, with its share of the reserves that are made meanwhile; a life is all until nothing of it is left. " +
			"Calls grow fewer, as one call looks at many NICs; a small fleet pays for looks that a large one shares.",
		head: []string{"nodes", "a claim", "to the first", "a life", "to the first", "calls per life", "to the first", "memory per NIC"},
	}
	if len(r.Sizes) < 2 {
		return t
	}
	for _, s := range r.Sizes {
		g := growth(r.Sizes[0].Result, s.Result)
		t.rows = append(t.rows, []string{
			fmt.Sprint(s.Nodes), ms(s.Claim()), times(g.Claim), ms(s.Cost()), times(g.Life), fmt.Sprintf("%.2f", s.PerLife()), times(g.Calls),
			fmt.Sprintf("%d KiB", s.Memory()/uint64(max(s.AtOnce, 1))>>10),
		})
		t.bars = append(t.bars, bar{fmt.Sprintf("%d nodes", s.Nodes), g.Claim})
	}
	return t
}

func ratio(a, to float64) float64 {
	if to == 0 {
		return 0
	}
	return a / to
}

func times(by float64) string { return fmt.Sprintf("%.2f ×", by) }
