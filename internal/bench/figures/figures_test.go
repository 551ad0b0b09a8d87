package figures

import (
	"errors"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestQuantile(t *testing.T) {
	values := []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for q, want := range map[float64]int64{0: 1, 0.5: 5, 0.51: 6, 0.99: 10, 1: 10} {
		if got := Quantile(values, q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
	if Quantile(nil, 0.5) != 0 || Median([]int64{9, 1, 5}) != 5 {
		t.Error("of none it is 0, and a median needs no order")
	}
}

func TestBootstrapHoldsTheTruth(t *testing.T) {
	var a, b []int64
	for i := range int64(200) {
		noise := i * 37 % 101 // the same for both: a slow round is slow for all
		a, b = append(a, 2000+noise), append(b, 1000+noise)
	}
	if got := Bootstrap(a, b, Difference); got.Low != 1000 || got.High != 1000 {
		t.Errorf("difference within %v, want 1000 exactly: rounds are drawn in pairs", got)
	}
	got := Bootstrap(a, b, Ratio)
	if truth := Ratio(a, b); got.Low > truth || got.High < truth || got.High-got.Low > 0.1 || got.Low == got.High {
		t.Errorf("ratio within %v, want a narrow interval around %v", got, truth)
	}
	if Bootstrap(nil, nil, Ratio) != (Interval{}) {
		t.Error("of nothing there is an interval")
	}
}

// What is written is read back, and what failed stays failed.
func TestFileIsReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.csv")
	f, err := Create(path, "abc123")
	if err != nil {
		t.Fatal(err)
	}
	f.Add("static", "nicferry", 3, 42, "us", nil)
	f.Add("static", "script", 4, 7, "us", errors.New("left a\nlink, \"x\""))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	commit, list, err := Read(path)
	if err != nil || commit != "abc123" || len(list) != 2 {
		t.Fatalf("read %q, %v, %v", commit, list, err)
	}
	if list[0] != (Record{"static", "nicferry", 3, 42, "us", nil}) || list[1].Fault == nil || list[1].Fault.Error() != `left a link, "x"` {
		t.Errorf("read %+v", list)
	}
}
