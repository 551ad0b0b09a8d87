//go:build linux

package soak

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// bin is where TestMain has put the programs.
var bin string

func TestMain(m *testing.M) { os.Exit(labtest.WithPrograms(m, "../../..", &bin).Run()) }

// progress tells the test's log.
type progress struct{ t *testing.T }

func (p progress) Write(b []byte) (int, error) {
	p.t.Log(strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

func soaked(t *testing.T, o Options) Result {
	t.Helper()
	netnstest.RequireRoot(t)
	o.Bin, o.AtOnce, o.Progress = bin, 8, progress{t}
	res, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// A minute of what `make soak` does for half an hour: six faults, after each of which all
// comes back and to rest, and is as it was. The seed has both daemons killed early enough
// for a judgement on what comes after.
func TestAMinuteOfHarmLeavesNothing(t *testing.T) {
	t.Parallel()
	res := soaked(t, Options{For: time.Minute, Every: 10 * time.Second, Seed: 98})
	if failed := res.Failed(); len(failed) > 0 {
		t.Errorf("not well:\n%s\n%.20000s", strings.Join(failed, "\n"), res.Logs)
	}
	if len(res.Faults) != 6 || len(res.Rests) != 6 || res.Lives < 10 {
		t.Errorf("%d faults, %d rests, %d containers", len(res.Faults), len(res.Rests), res.Lives)
	}
	for _, who := range []string{controller, agent} {
		if !judged(res, "RSS", who) || !judged(res, "open files", who) {
			t.Errorf("nothing was judged of %s: %+v", who, res.Series)
		}
	}
}

// What is left behind in each round must be told.
func TestPlantedLeaksAreTold(t *testing.T) {
	t.Parallel()
	res := soaked(t, Options{For: 20 * time.Second, Every: 5 * time.Second, Seed: 144, Plant: Plants()})
	told := strings.Join(res.Failed(), "\n")
	for _, want := range []string{"open files of controller", "goroutines of controller", "network namespaces of the whole"} {
		if !strings.Contains(told, want) {
			t.Errorf("it does not tell of %s:\n%s", want, told)
		}
	}
	if text := (Report{Result: res}).Markdown(); !strings.Contains(text, "FAILED") {
		t.Errorf("the report does not tell:\n%s", text)
	}
}

// judged says whether there is a judgement on some life of the daemon.
func judged(res Result, what, who string) bool {
	for _, s := range res.Series {
		if s.What == what && strings.HasPrefix(s.Whose, who) && s.Judged {
			return true
		}
	}
	return false
}
