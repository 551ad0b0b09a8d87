//go:build linux

package movebench

import (
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// heardFrom makes answers of a text: a letter is an answer of the program of that
// word, a dot a tick of the peer without one.
func heardFrom(start time.Time, text string) (all []answer) {
	for i, c := range text {
		if c != '.' {
			all = append(all, answer{start.Add(time.Duration(i) * peerEvery), string(c)})
		}
	}
	return all
}

func TestSilenceIsBetweenTwoPrograms(t *testing.T) {
	start := time.Now()
	for _, c := range []struct {
		text            string
		change, longest int // in ticks
		fault           string
	}{
		{"aaaa....bbbb", 5, 5, ""},
		{"aaaabbbb", 1, 1, ""},
		{"aaa...bb......bbb", 4, 7, ""},         // the program afterwards fell silent once more
		{"a..........aaaa.bb", 2, 2, ""},        // before the order
		{"aaaa....bab", 5, 5, "answered after"}, // both ran
		{"aaaaaaaaaaaa", 0, 1, "no change"},
	} {
		order := start.Add(11 * peerEvery)
		if !strings.HasPrefix(c.text, "a...") {
			order = start
		}
		change, longest, err := over(heardFrom(start, c.text), "a", "b", order)
		if fault := err != nil && c.fault != "" && strings.Contains(err.Error(), c.fault); (err != nil) != (c.fault != "") || err != nil && !fault {
			t.Errorf("%s: %v, want %q", c.text, err, c.fault)
		}
		if change.took() != time.Duration(c.change)*peerEvery || longest.took() != time.Duration(c.longest)*peerEvery {
			t.Errorf("%s: %s, longest %s, want %d and %d ticks", c.text, change.took(), longest.took(), c.change, c.longest)
		}
	}
}

// Only who has answered for a while is there to stay.
func TestPeerAwaitsASteadyAnswer(t *testing.T) {
	begin := time.Now().Add(-time.Minute)
	p := &peer{answers: heardFrom(begin, strings.Repeat("a", 100)+"....."+strings.Repeat("b", 61))}
	word, err := p.await(t.Context(), "a")
	if word != "b" || err != nil {
		t.Errorf("%q, %v; want b", word, err)
	}
	if word, err := p.await(t.Context(), ""); word != "b" || err != nil {
		t.Errorf("whoever it is: %q, %v; want b", word, err)
	}
}

// The report is computed from the file alone, says what it is of, and what failed.
func TestTell(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, figuresName)
	f, err := figures.Create(path, "abc123")
	if err != nil {
		t.Fatal(err)
	}
	f.AddLoad("before", figures.Machine{Load: 0.5})
	for round := range 20 {
		for what, took := range map[string]int64{ours: 300000, byFloor: 250000, oursDeaf: 310000} {
			f.Add(nicSilence, what, round, took, "us", nil)
			f.Add(nicSilence+fromOrder, what, round, 40000, "us after the order", nil)
		}
		f.Add(allSilence, ours, round, 4200000, "us", nil)
		f.Add(allSilence+fromOrder, ours, round, 1000000, "us after the order", nil)
		f.Add(allSilence, byScript, round, 4000000, "us", nil)
		f.Add(allSteps, "nic-out", round, 100000, "us", nil)
	}
	f.Add(allSilence, ours, 20, 1, "us", errors.New("two <b> at once"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	err = Tell(path, figures.Machine{Kernel: "6.1", CPUs: 2}, dir)
	if err == nil || !strings.Contains(err.Error(), "1 figures are of runs that did not") {
		t.Errorf("got %v, want it to say that a run failed", err)
	}
	for name, wants := range map[string][]string{
		reportName: {
			"abc123", "TCG guest", "load 0.50 before", "| 1.20 × [1.20, 1.20] | at most 1.5 × | yes |", "| 1.05 × [1.05, 1.05] | at most 1.0 × | no |",
			"310 ms of 20 | told", "| nic-out | 20 | 0 | 100 |", "(" + nicPlot + ")", "(" + allPlot + ")", "round 20: two <b> at once",
		},
		nicPlot: {"<svg", byFloor, "#0969da"},
		allPlot: {"<svg", byScript},
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %q:\n%s", name, want, text)
			}
		}
		if strings.HasSuffix(name, ".svg") {
			if err := xml.Unmarshal(text, new(struct{})); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Each rival is in each place about as often as any other, and in each round once.
func TestRivalsAreShuffled(t *testing.T) {
	const rounds, rivals = 60, 3
	var places [rivals][rivals]int
	for round := range rounds {
		for place, rival := range order(round, rivals) {
			places[rival][place]++
		}
	}
	for rival, at := range places {
		if at[0]+at[1]+at[2] != rounds || min(at[0], at[1], at[2]) < rounds/6 {
			t.Errorf("rival %d came first, second and third %d times", rival, at)
		}
	}
}
