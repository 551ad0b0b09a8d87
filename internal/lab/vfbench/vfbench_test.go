//go:build linux

package vfbench

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMoverIsRead(t *testing.T) {
	round := "rebound 1200000\nheld 21000\nfloor 17000\n"
	took, err := parseMoves(strings.Repeat(round, perRound), nil)
	if err != nil || len(took["held"]) != perRound || took["held"][0] != 21000 || took["floor"][3] != 17000 || took["rebound"][1] != 1200000 {
		t.Errorf("read %v, %v", took, err)
	}
	broken := errors.New("exit status 1")
	for _, out := range []string{"", round, "floor 17000\n", "floor much\n", "held 1\nfloor 1\nother 1\n"} {
		if took, err := parseMoves(out, nil); err == nil {
			t.Errorf("%q is %v", out, took)
		}
	}
	if _, err := parseMoves("floor 17000\n", broken); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

// The agent's steps are summed up, but for those that take a NIC out.
func TestAgentsStepsAreRead(t *testing.T) {
	const text = `# HELP nicferry_ferry_seconds Time that each step took.
nicferry_ferry_seconds_bucket{step="address",le="0.005"} 1
nicferry_ferry_seconds_sum{step="address"} 0.004
nicferry_ferry_seconds_count{step="address"} 2
nicferry_ferry_seconds_sum{step="enter"} 0.03
nicferry_ferry_seconds_count{step="enter"} 3
nicferry_ferry_seconds_sum{step="out"} 9
nicferry_ferry_seconds_count{step="out"} 1
nicferry_ferry_seconds_sum{step="provide"} 1e-03
`
	now, err := parseTally(text)
	if err != nil || now.addressed != 2 || now.since(tally{seconds: 0.005}) != 30000 {
		t.Errorf("read %+v, %v", now, err)
	}
	if none, err := parseTally("# nothing yet\n"); err != nil || none != (tally{}) {
		t.Errorf("read %+v, %v", none, err)
	}
	if _, err := parseTally(`nicferry_ferry_seconds_sum{step="enter"} much`); err == nil {
		t.Error("a step that took much")
	}
}

// Each command sends to its server, and within its time.
func TestCommandsNameTheServer(t *testing.T) {
	for _, f := range plots() {
		for _, s := range f.sizes {
			got := s.command("10.9.9.9")
			if !slices.Contains(got, "10.9.9.9") || slices.Contains(got, toServer) || !slices.Contains(got, "-t") {
				t.Errorf("%s is %q", f.measure(s), got)
			}
			if !slices.Contains(s.args, toServer) {
				t.Errorf("%s can be run once only", f.measure(s))
			}
		}
	}
}

// written are figures of a run in which a bridge is half as fast as the card, and one
// move failed.
func written(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, figuresName)
	f, err := figures.Create(path, "abc123")
	if err != nil {
		t.Fatal(err)
	}
	for round := range 8 {
		f.Add(way, ours, round, 21000+int64(round), "us", nil)
		f.Add(way, floor, round, 17000, "us", nil)
		f.Add(way, anew, round, 1200000, "us", nil)
		f.Add(steps, restarted, round, 45000, "us", nil)
		for _, name := range pathNames() {
			value := int64(400000)
			if name == bridge {
				value = 200000
			}
			for _, plot := range plots() {
				f.Add(plot.measure(plot.sizes[0]), name, round, value, plot.unit, nil)
			}
		}
	}
	f.AddLoad("before", figures.Machine{Load: 3})
	f.Add(way, floor, 8, 0, "us", errors.New("eth0 is up: false"))
	f.Add(plots()[0].measure(plots()[0].sizes[2]), oneVF, 8, 0, "kbit/s", errors.New("iperf3: unable to connect"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// The report is computed from the file alone, says what it is of and what failed, and
// goes beside its plots.
func TestTell(t *testing.T) {
	dir, docs := t.TempDir(), t.TempDir()
	doc := filepath.Join(docs, "other.md")
	err := Tell(written(t, dir), figures.Machine{Kernel: "6.12", CPUs: 2}, dir, doc)
	if err == nil || !strings.Contains(err.Error(), "2 runs") {
		t.Errorf("got %v, want it to say that two runs failed", err)
	}
	for _, name := range []string{filepath.Join(dir, reportName), doc} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"abc123", "TCG guest", "busy with other work", "| 1.24 × [1.24, 1.24] | at most 1.5 × | yes |", "1200 ms of 8 | told", "45.0 ms of 8 | told",
			"## Claim held to configured", "failed: kernel move: one message, and one for the address, round 8: eth0 is up: false",
			"| host NIC | 400 | – | – |", "| VF | 400 (1.00 [1.00, 1.00]) | – | – |", "| docker bridge | 200 (0.50 [0.50, 0.50]) | – | – |",
			"| docker bridge | 20.0 | – |", "8 rounds.", "failed: VF, round 8: iperf3: unable to connect", "![UDP loss by path](bench-sriov-loss.svg)",
		} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %q:\n%s", name, want, text)
			}
		}
	}
}

// The plots are whole, go where the report goes, and have a dot per run.
func TestPlots(t *testing.T) {
	dir, docs := t.TempDir(), t.TempDir()
	if err := Tell(written(t, dir), figures.Machine{}, dir, filepath.Join(docs, reportName)); err == nil {
		t.Error("nothing is said of failed runs")
	}
	for _, f := range plots() {
		for _, at := range []string{dir, docs} {
			text, err := os.ReadFile(filepath.Join(at, f.file))
			if err != nil {
				t.Fatal(err)
			}
			d, count := xml.NewDecoder(strings.NewReader(string(text))), 0
			for {
				token, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%s: %v", f.file, err)
				}
				if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
					count++
				}
			}
			if want := 8 * len(pathNames()); count != want {
				t.Errorf("%s has %d dots, want %d", f.file, count, want)
			}
		}
	}
	if draw(plots()[0], nil) != "" {
		t.Error("a plot of nothing")
	}
}

func TestOptions(t *testing.T) {
	if _, err := (Options{Settings: figures.Settings{Out: "x"}}).withDefaults(); err == nil || !strings.Contains(err.Error(), "--mover") {
		t.Errorf("got %v, want it to ask for the mover", err)
	}
	o, err := Options{Settings: figures.Settings{Out: "x"}, Mover: "m"}.withDefaults()
	if err != nil || o.Rounds != 5 {
		t.Errorf("got %d rounds, %v", o.Rounds, err)
	}
}
