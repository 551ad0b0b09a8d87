//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The report is computed from the file alone, and says what failed.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "attach.csv")
	file, err := figures.Create(path, "abc123")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		file.Add(static, ours, i, 28000+int64(i), "us", nil)
		file.Add(static, floor, i, 26000, "us", nil)
		file.Add(static, "ip script", i, 56000, "us", nil)
	}
	file.Add(static, "ip script", 20, 1, "us", errors.New("leak: \"nt1\" is left,\non the node"))
	file.Add("messages", "RTM_NEWLINK", 0, 3, "messages", nil)
	for i := range 8 {
		file.Add("hour", "VmRSS", i, 20000+400*int64(i), "KiB", nil)
		file.Add("hour", "Threads", i, 9, "threads", nil)
	}
	file.Add("hour", "renewals", 0, 6000, "renewals", nil)
	file.Add("hour", "time", 0, 120000, "ms", nil)
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(dir, "report.md")
	err = tell(path, figures.Machine{Kernel: "6.1", CPUs: 2, Load: 3}, report)
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
