//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestQuantile(t *testing.T) {
	values := []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for q, want := range map[float64]int64{0: 1, 0.5: 5, 0.51: 6, 0.99: 10, 1: 10} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
	if quantile(nil, 0.5) != 0 || median([]int64{9, 1, 5}) != 5 {
		t.Error("of none it is 0, and a median needs no order")
	}
}

func TestBootstrapHoldsTheTruth(t *testing.T) {
	var a, b []int64
	for i := range int64(200) {
		noise := i * 37 % 101 // the same for both: a slow round is slow for all
		a, b = append(a, 2000+noise), append(b, 1000+noise)
	}
	if got := bootstrap(a, b, difference); got.low != 1000 || got.high != 1000 {
		t.Errorf("difference within %v, want 1000 exactly: rounds are drawn in pairs", got)
	}
	got := bootstrap(a, b, ratio)
	if truth := ratio(a, b); got.low > truth || got.high < truth || got.high-got.low > 0.1 || got.low == got.high {
		t.Errorf("ratio within %v, want a narrow interval around %v", got, truth)
	}
	if bootstrap(nil, nil, ratio) != (interval{}) {
		t.Error("of nothing there is an interval")
	}
}

// The report is computed from the file alone, and says what failed.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "attach.csv")
	file, err := newRecords(path, "abc123")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		file.add(record{static, ours, i, 28000 + int64(i), "us", nil})
		file.add(record{static, floor, i, 26000, "us", nil})
		file.add(record{static, "ip script", i, 56000, "us", nil})
	}
	file.add(record{static, "ip script", 20, 1, "us", errors.New("leak: \"nt1\" is left,\non the node")})
	file.add(record{"messages", "RTM_NEWLINK", 0, 3, "messages", nil})
	for i := range 8 {
		file.add(record{"hour", "VmRSS", i, 20000 + 400*int64(i), "KiB", nil})
		file.add(record{"hour", "Threads", i, 9, "threads", nil})
	}
	file.add(record{"hour", "renewals", 0, 6000, "renewals", nil})
	file.add(record{"hour", "time", 0, 120000, "ms", nil})
	if err := file.close(); err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(dir, "report.md")
	err = tell(path, machine{kernel: "6.1", cpus: 2, load: 3}, report)
	if err == nil || !strings.Contains(err.Error(), "1 run") {
		t.Errorf("got %v, want it to say that a run failed", err)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"abc123", "| nicferry | 20 | 0 | 28.01 | 28.02 |", "| ip script | 20 | 1 | 56.00 | 56.00 | 0.50 [0.50, 0.50] |",
		"first and last 2 of 8 samples | +12.0 % (20000 KiB, then 22400 KiB) | +10 % | **no** |",
		"6000 renewals in 120.00 s", "by +2800 KiB from the first", "most threads in that hour | 9 | 32 | yes",
		"| static attach over the kernel's move, p50 | 2.01 ms", "leak: \"nt1\" is left, on the node",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
}
