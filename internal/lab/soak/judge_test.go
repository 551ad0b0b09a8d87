//go:build linux

package soak

import (
	"slices"
	"strings"
	"testing"
)

// flatSamples are of a daemon that was killed half-way, and of one that was not.
func flatSamples() (all []Sample) {
	for i := range 16 {
		life := 1 + i/8
		p := Process{Life: life, RSS: int64(70+i%3) << 20, Threads: 10, FDs: int64(20 + i%2), Goroutines: 300}
		q := p
		q.Life = 1
		for _, rest := range []bool{false, true} {
			s := Sample{At: float64(60 * i), Rest: rest, Of: map[string]Process{controller: p, agent: q}, Namespaces: 2, Links: 3, Store: 1 << 20, Records: int64(20 + i%5)}
			if !rest { // at work there is more of all, which is nobody's fault
				s.Namespaces, s.Links, s.Claims, s.Records = s.Namespaces+int64(i), s.Links+int64(i), int64(i), -1
			}
			all = append(all, s)
		}
	}
	return all
}

func TestJudge(t *testing.T) {
	of := func(grow func(i int64, p *Process)) func([]Sample) {
		return func(all []Sample) {
			for i, s := range all {
				p := s.Of[agent]
				grow(int64(i/2), &p)
				s.Of[agent] = p
			}
		}
	}
	for name, c := range map[string]struct {
		spoil func([]Sample)
		want  string
	}{
		"as many as before": {func([]Sample) {}, ""},
		"a file a minute":   {of(func(i int64, p *Process) { p.FDs += i }), "open files of agent 1"},
		"3 MiB a minute":    {of(func(i int64, p *Process) { p.RSS += 3 * i << 20 }), "RSS of agent 1"},
		"threads":           {of(func(i int64, p *Process) { p.Threads += 2 * i }), "threads of agent 1"},
		"goroutines over all lives, each too short": {of(func(i int64, p *Process) { p.Life, p.Goroutines = int(1+i/2), p.Goroutines+4*i }), "goroutines of agent, all"},
		"one namespace more": {func(all []Sample) {
			for i := range all {
				all[i].Namespaces += int64(i / 16)
			}
		}, "network namespaces of the whole"},
		"records": {func(all []Sample) {
			for i := range all {
				all[i].Records += 3 * int64(i)
			}
		}, "store's records of the whole"},
		"one that is out of line": {func(all []Sample) { all[len(all)-3].Links += 9 }, ""},
		"none at rest": {func(all []Sample) {
			for i := range all {
				all[i].Rest = false
			}
		}, "nothing is known of network interfaces"},
	} {
		all := flatSamples()
		c.spoil(all)
		failed := Result{Series: judge(all)}.Failed()
		if c.want == "" && len(failed) > 0 || c.want != "" && !strings.Contains(strings.Join(failed, "\n"), c.want) {
			t.Errorf("%s: want %q of %q", name, c.want, failed)
		}
	}
}

// All kinds of fault come before one comes again, and a seed draws the same again.
func TestBag(t *testing.T) {
	name := func(f fault) string { return f.name }
	names := func(seed uint64, n int) (all []string) {
		for _, f := range bag(seed, n) {
			all = append(all, name(f))
		}
		return all
	}
	kinds := len(faults())
	drawn := names(1, 2*kinds)
	for _, part := range [][]string{drawn[:kinds], drawn[kinds:]} {
		if len(slices.Compact(slices.Sorted(slices.Values(part)))) != kinds {
			t.Errorf("%q has not all kinds", part)
		}
	}
	if !slices.Equal(drawn, names(1, 2*kinds)) || slices.Equal(drawn, names(2, 2*kinds)) {
		t.Error("a seed is to draw the same again, and another one another")
	}
}

// The report is one page by itself, and hostile words stay words.
func TestReport(t *testing.T) {
	all := flatSamples()
	r := Report{Result: Result{Seed: 7, For: "30m", Every: "1m", Seconds: 960, Samples: all, Series: judge(all), Rests: []float64{1, 2}, Faults: []Fault{{At: 60, What: "kill -9 agent", How: "<script>", Whole: 2}}}}
	page := r.HTML()
	if strings.Contains(page, "<script") || strings.Count(page, "<svg") != len(kinds()) || !strings.Contains(page, "<polyline") {
		t.Errorf("page\n%.3000s", page)
	}
	if text := r.Markdown(); !strings.Contains(text, "all is flat") || !strings.Contains(text, "kill -9 agent") {
		t.Errorf("report\n%s", text)
	}
	dir := t.TempDir()
	if err := r.Write(dir); err != nil {
		t.Error(err)
	}
}
