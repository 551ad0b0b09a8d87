//go:build linux

package sim

import (
	"html"
	"os"
	"strings"
	"testing"
	"time"
)

// The report says how the cost grows, and with how many containers it was made.
func TestTheReportSaysHowTheCostGrows(t *testing.T) {
	sized := func(nodes, calls int, cpu time.Duration) Sized {
		return Sized{Result: Result{
			Nodes: nodes, PerNode: 5, Lives: 5 * nodes, AtOnce: 5 * nodes, Calls: map[string]Calls{opCreate: {Made: calls * nodes}},
			Spans: []Span{{Name: "all are started", CPU: time.Duration(5*nodes) * cpu, RSS: 1 << 30}},
		}}
	}
	r := Report{Sizes: []Sized{sized(100, 40, 2*time.Millisecond), sized(10_000, 20, 3*time.Millisecond)}}
	if g := r.Growth(); g != (Growth{From: 100, To: 10_000, Claim: 1.5, Life: 1.5, Calls: 0.5}) {
		t.Errorf("growth %+v", g)
	}
	for name, text := range map[string]string{"sim.md": r.Markdown(), "sim.html": html.UnescapeString(r.HTML())} {
		for _, want := range []string{"From 100 to 10000 nodes the processor time of a claim becomes 1.50 ×", "the provider's calls 0.50 ×", "20 KiB", "CONTAINERS=5", "was not run for this report"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q:\n%s", name, want, text)
			}
		}
	}
}

// A claim costs about as much in a large fleet as in a small one, and nothing is left of
// either. In a long run these are the fleets of the figure, 100 and 10,000 nodes with 50
// containers each, which takes hours of processor and more than 10 GiB; else they are
// small ones, of which only the provider's calls say anything.
func TestTenThousandNodes(t *testing.T) {
	long := os.Getenv("NICFERRY_LONG") != ""
	sizes := []Options{Default(10), Default(100)}
	if long {
		sizes = []Options{Default(100), Default(10_000)}
	}
	var r Report
	for _, o := range sizes {
		if !long {
			o.PerNode = 4
		}
		res := played(t, o)
		if len(res.Leaks) > 0 || res.Started != o.lives() || res.Removed != o.lives() {
			t.Errorf("%d nodes: %d of %d started, %d removed, left: %v", o.Nodes, res.Started, o.lives(), res.Removed, res.Leaks)
		}
		r.Sizes = append(r.Sizes, Sized{Result: res})
	}
	t.Log("\n" + r.Markdown())
	if g := r.Growth(); g.Calls > MostGrowth || long && g.Claim > MostGrowth {
		t.Errorf("it is to grow %.1f times at most: %s", MostGrowth, g)
	}
}
